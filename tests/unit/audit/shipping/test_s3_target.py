import base64
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.unit.audit.chains import AT, lines, write

from hakoiri.audit.segments import segments
from hakoiri.audit.shipping.configuration import S3Target
from hakoiri.audit.shipping.s3_target import BucketCopy
from hakoiri.audit.shipping.source import Place, next_batch
from hakoiri.audit.shipping.targets import TargetError

SECRET = "planted-ship-secret"
MADE = lines(3)


@dataclass
class Store:
    port: int = 0
    status: int = 200
    answer: bytes = b""
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def store() -> Iterator[Store]:
    made = Store()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            made.requests.append((self.path, headers, body))
            self.send_response(made.status)
            self.send_header("Content-Length", str(len(made.answer)))
            self.end_headers()
            self.wfile.write(made.answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()


def copy_to(port: int) -> BucketCopy:
    target = S3Target.model_validate(
        {
            "name": "archive",
            "kind": "s3",
            "bucket": "audit",
            "prefix": "hosts/box1",
            "endpoint": f"http://127.0.0.1:{port}",
            "access_key_id": "AKIDEXAMPLE",
            "secret_access_key": SECRET,
            "retain_days": 30,
        }
    )
    return BucketCopy(target, instance="i1", now=lambda: AT)


def test_a_file_is_put_whole_and_is_to_stay(tmp_path: Path) -> None:
    write(tmp_path, MADE)
    with store() as made:
        copy_to(made.port).put("server", segments(tmp_path)[0])
    ((path, headers, body),) = made.requests
    assert path == "/audit/hosts/box1/i1/server/000000000000001.jsonl"
    assert body == b"".join(MADE)
    assert headers["x-amz-object-lock-mode"] == "COMPLIANCE"
    assert headers["x-amz-object-lock-retain-until-date"] == "2026-12-26T12:00:00Z"
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    assert headers["x-amz-checksum-sha256"] == digest
    signed = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert {"x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date"} <= set(signed)
    assert SECRET not in str(headers)


def test_a_store_that_refuses_is_told_by_its_own_code(tmp_path: Path) -> None:
    write(tmp_path, MADE)
    with store() as made:
        made.status = 403
        made.answer = b"<Error><Code>AccessDenied</Code><Message>planted words</Message></Error>"
        with pytest.raises(TargetError, match=r"403: AccessDenied$"):
            copy_to(made.port).put("server", segments(tmp_path)[0])


def test_one_that_is_away_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, MADE)
    with store() as made:
        port = made.port
    with pytest.raises(OSError, match="refused"):
        copy_to(port).put("server", segments(tmp_path)[0])


def test_lines_are_an_object_of_their_own_named_by_the_first(tmp_path: Path) -> None:
    write(tmp_path, MADE)
    first = next_batch(tmp_path, Place(first=1, offset=len(MADE[0]), sequence=1))
    assert first is not None
    with store() as made:
        copy_to(made.port).put_lines("heads", first)
    ((path, headers, body),) = made.requests
    assert path == "/audit/hosts/box1/i1/heads/000000000000002.jsonl"
    assert body == b"".join(MADE[1:])
    assert headers["x-amz-object-lock-mode"] == "COMPLIANCE"
