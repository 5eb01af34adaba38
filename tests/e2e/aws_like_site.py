"""An endpoint that keeps objects as S3 does, and has botocore check each signature."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.e2e.tls_server import TlsServer, tls_server

HOST = "store.example.test"
REGION = "eu-west-1"
KEYS = Credentials("AKIDSTORE", "planted-secret-of-the-store")


@dataclass
class Store:
    """The objects by path, and the calls that were refused for their signature."""

    objects: dict[str, bytes] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *args: object, store: Store, **kwargs: object) -> None:
        self._store = store
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._is_signed(body):
            self._store.objects[self.path] = body
            self._answer(200, b"")

    def do_GET(self) -> None:
        if not self._is_signed(b""):
            return
        found = self._store.objects.get(self.path)
        if found is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            self._answer(200, found)

    def _is_signed(self, body: bytes) -> bool:
        if self.headers["Authorization"] == self._expected(body):
            return True
        self._store.refused.append(self.path)
        self._answer(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
        return False

    def _expected(self, body: bytes) -> str:
        """What botocore would have put there, for the headers that were signed."""
        given = self.headers["Authorization"] or ""
        names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        headers = {name: self.headers[name] or "" for name in names if name}
        url = f"https://{HOST}{self.path}"
        request = AWSRequest(method=self.command, url=url, data=body, headers=headers)
        request.context["timestamp"] = self.headers["X-Amz-Date"] or ""
        signer = S3SigV4Auth(KEYS, "s3", REGION)
        to_sign = signer.string_to_sign(request, signer.canonical_request(request))
        scope = f"{KEYS.access_key}/{signer.credential_scope(request)}"
        signed = signer.signed_headers(signer.headers_to_sign(request))
        signature = signer.signature(to_sign, request)
        return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={signed}, Signature={signature}"

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def aws_like_site(directory: Path) -> Iterator[tuple[TlsServer, Store]]:
    """Serve an empty store."""
    store = Store()
    handler = partial(_Handler, store=store)
    with tls_server(handler, host=HOST, keys=directory / "store-keys") as server:
        yield server, store
