"""AWS Signature Version 4, without I/O.

Source: AWS IAM User Guide, "Create a signed AWS API request". For services other than S3 the path
is normalised and encoded once more for the signature; S3 takes it decoded and encoded once
(Amazon S3 API Reference, "Signature Calculations for the Authorization Header").
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from hakoiri.credential_proxy.credentials.secret import Secret
from hakoiri.credential_proxy.signing_scope import SigningScope

ALGORITHM: Final = "AWS4-HMAC-SHA256"
EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()
UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
"""In place of the body's SHA-256, where the service takes it."""

_PATH_SAFE: Final = "/-_.~"
_PLAIN_PATH: Final = re.compile(r"/|(?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*+)++/?")
_PLAIN_PARAMETER: Final = re.compile(r"[A-Za-z0-9_.~-]*")
_S3_SERVICES: Final = frozenset({"s3", "s3express", "s3-outposts", "s3-object-lambda"})
_KEY_CACHE_SIZE: Final = 64

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """One set of AWS keys; `session_token` belongs to temporary ones.

    `expires_at` is told by a file or a command; botocore's chain keeps its own time.
    """

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None = None
    expires_at: datetime | None = None

    def secrets(self) -> tuple[Secret, ...]:
        """Return what must not come back in an answer."""
        token = self.session_token
        return (self.secret_access_key,) if token is None else (self.secret_access_key, token)


@dataclass(frozen=True, slots=True)
class SignableRequest:
    """A request as it will be sent.

    `path` is the path on the wire, already percent-encoded; `query` the raw query without `?`.
    `headers` are those to be signed, `host` among them; no other header should be. `body_sha256`
    is in lower-case hex, or `UNSIGNED_PAYLOAD`.
    """

    method: str
    path: str
    query: str
    headers: Headers
    body_sha256: str


class Signer:
    """Signs requests, and keeps the last signing keys, which hold for a day, region and service."""

    def __init__(self) -> None:
        self._signing_keys: dict[tuple[str, str, str, str], bytes] = {}

    def sign(
        self, request: SignableRequest, *, keys: AwsKeys, scope: SigningScope, now: datetime
    ) -> Headers:
        """Return the headers to add: `x-amz-date`, `authorization`, and those that belong to them.

        `x-amz-security-token` comes with temporary keys; `x-amz-content-sha256` for S3, which
        wants it, and for an unsigned body, which no service would guess. `now` must be aware. The
        headers of `request` must hold none of these.
        """
        timestamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        is_s3 = scope.service in _S3_SERVICES
        added: list[tuple[str, str]] = [("x-amz-date", timestamp)]
        if is_s3 or request.body_sha256 == UNSIGNED_PAYLOAD:
            added.append(("x-amz-content-sha256", request.body_sha256))
        if keys.session_token is not None:
            added.append(("x-amz-security-token", keys.session_token.reveal()))
        path = canonical_s3_path(request.path) if is_s3 else canonical_path(request.path)
        header_lines, signed_names = _canonical_headers((*request.headers, *added))
        canonical = (
            f"{request.method}\n{path}\n{canonical_query(request.query)}\n{header_lines}\n"
            f"{signed_names}\n{request.body_sha256}"
        )
        date = timestamp[:8]
        credential_scope = f"{date}/{scope.region}/{scope.service}/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"{ALGORITHM}\n{timestamp}\n{credential_scope}\n{digest}"
        key = self._signing_key(keys.secret_access_key.reveal(), date, scope)
        signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
        authorization = (
            f"{ALGORITHM} Credential={keys.access_key_id}/{credential_scope},"
            f" SignedHeaders={signed_names}, Signature={signature}"
        )
        return (*added, ("authorization", authorization))

    def _signing_key(self, secret_access_key: str, date: str, scope: SigningScope) -> bytes:
        entry = (secret_access_key, date, scope.region, scope.service)
        key = self._signing_keys.get(entry)
        if key is None:
            key = b"AWS4" + secret_access_key.encode()
            for part in (date, scope.region, scope.service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            if len(self._signing_keys) >= _KEY_CACHE_SIZE:
                self._signing_keys.clear()
            self._signing_keys[entry] = key
        return key


def canonical_path(path: str) -> str:
    """Normalise dot segments and doubled slashes, then encode each byte that is not unreserved."""
    if _PLAIN_PATH.fullmatch(path) is not None:
        return path
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if segments:
                segments.pop()
        elif segment not in ("", "."):
            segments.append(segment)
    trailing = "/" if segments and path.endswith("/") else ""
    return quote("/" + "/".join(segments) + trailing, safe=_PATH_SAFE)


def canonical_s3_path(path: str) -> str:
    """Encode each byte that is not unreserved once, however the client spelt it.

    An object's key is any text: dot segments and doubled slashes are part of it.
    """
    if _PLAIN_PATH.fullmatch(path) is not None:
        return path
    return quote(unquote_to_bytes(path), safe=_PATH_SAFE) or "/"


def canonical_query(query: str) -> str:
    """Encode each parameter once, and sort by name, then value. A `+` is a space, as in forms."""
    if not query:
        return ""
    pairs = []
    for parameter in query.split("&"):
        name, _, value = parameter.partition("=")
        pairs.append((_canonical_parameter(name), _canonical_parameter(value)))
    return "&".join([f"{name}={value}" for name, value in sorted(pairs)])


def _canonical_parameter(text: str) -> str:
    if _PLAIN_PARAMETER.fullmatch(text) is not None:
        return text
    return quote(unquote_to_bytes(text.replace("+", " ")), safe="-_.~")


def _canonical_headers(headers: Iterable[tuple[str, str]]) -> tuple[str, str]:
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(" ".join(value.split()))
    names = sorted(values)
    lines = "".join([f"{name}:{','.join(values[name])}\n" for name in names])
    return lines, ";".join(names)
