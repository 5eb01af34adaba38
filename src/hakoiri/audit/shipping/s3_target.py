"""Puts whole files of the chains into a bucket with object lock.

Source: the S3 API's PutObject. With a retention of its own an object cannot be removed or changed
until that ends; putting it again makes a version beside it, and the first one stays.
"""

import base64
import hashlib
import http.client
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import BinaryIO, Final
from urllib.parse import quote, urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from hakoiri.audit.segments import Segment, name_of, open_segment
from hakoiri.audit.shipping.configuration import S3Target
from hakoiri.audit.shipping.source import Batch
from hakoiri.audit.shipping.targets import TargetError

TIMEOUT_S: Final = 60.0
_BLOCK_BYTES: Final = 1024 * 1024
_ANSWER_LIMIT_BYTES: Final = 2048
_OK: Final = 200


class BucketCopy:
    """Speaks to one bucket, path-style, as every S3 server understands it."""

    def __init__(
        self,
        target: S3Target,
        *,
        instance: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Objects are named `PREFIX/INSTANCE/CHAIN/FILE`."""
        self._target = target
        self._instance = instance
        self._now = now
        self._endpoint = (target.endpoint or f"https://s3.{target.region}.amazonaws.com").rstrip(
            "/"
        )

    def put(self, chain: str, segment: Segment) -> None:
        """Put the file with its retention. Raises `TargetError`, `OSError`."""
        with open_segment(segment) as file:
            self._put(self._path(chain, segment.path.name), file)

    def put_lines(self, chain: str, batch: Batch) -> None:
        """Put the lines as an object of their own. Raises `TargetError`, `OSError`."""
        self._put(self._path(chain, name_of(batch.first)), BytesIO(batch.data))

    def _put(self, path: str, file: BinaryIO) -> None:
        digest, size = _digest(file)
        file.seek(0)
        headers = self._signed(path, file, digest, size)
        file.seek(0)
        self._send(path, file, headers)

    def _path(self, chain: str, name: str) -> str:
        parts = (
            self._target.bucket,
            *([self._target.prefix] if self._target.prefix else []),
            self._instance,
            chain,
            name,
        )
        return quote("/" + "/".join(parts))

    def _signed(self, path: str, file: BinaryIO, digest: bytes, size: int) -> Mapping[str, str]:
        target = self._target
        until = self._now() + timedelta(days=target.retain_days)
        request = AWSRequest(
            method="PUT",
            url=self._endpoint + path,
            data=file,
            headers={
                "Content-Length": str(size),
                "Content-Type": "application/x-ndjson",
                "x-amz-checksum-sha256": base64.b64encode(digest).decode("ascii"),
                "x-amz-object-lock-mode": target.mode,
                "x-amz-object-lock-retain-until-date": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
        )
        secret = target.secret_access_key.get_secret_value()
        S3SigV4Auth(Credentials(target.access_key_id, secret), "s3", target.region).add_auth(
            request
        )
        return {str(name): str(value) for name, value in request.headers.items()}

    def _send(self, path: str, file: BinaryIO, headers: Mapping[str, str]) -> None:
        found = urlsplit(self._endpoint)
        host, port = found.hostname or "", found.port
        connection = (
            http.client.HTTPSConnection(
                host, port, timeout=TIMEOUT_S, context=ssl.create_default_context()
            )
            if found.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        )
        try:
            connection.request("PUT", path, body=file, headers=dict(headers))
            answer = connection.getresponse()
            said = answer.read(_ANSWER_LIMIT_BYTES)
        except http.client.HTTPException as error:
            raise TargetError(f"the store broke off: {type(error).__name__}") from error
        finally:
            connection.close()
        if answer.status != _OK:
            raise TargetError(f"the store answered {answer.status}: {_code_of(said)}")


def _digest(file: BinaryIO) -> tuple[bytes, int]:
    digest, size = hashlib.sha256(), 0
    while block := file.read(_BLOCK_BYTES):
        digest.update(block)
        size += len(block)
    return digest.digest(), size


def _code_of(said: bytes) -> str:
    """Return the store's own code for what went wrong, of its XML; nothing else of it."""
    _, _, rest = said.partition(b"<Code>")
    code, found, _ = rest.partition(b"</Code>")
    return code[:80].decode("ascii", errors="replace") if found else "no reason given"
