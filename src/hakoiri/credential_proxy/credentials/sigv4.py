"""AWS Signature Version 4, without I/O.

Source: AWS IAM User Guide, "Create a signed AWS API request". For services other than S3 the path
is normalised and encoded once more for the signature.
"""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from hakoiri.credential_proxy.credentials.secret import Secret
from hakoiri.credential_proxy.signing_scope import SigningScope

ALGORITHM: Final = "AWS4-HMAC-SHA256"
EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()
_PATH_SAFE: Final = "/-_.~"
_KEY_CACHE_SIZE: Final = 64

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """One set of AWS keys; `session_token` belongs to temporary ones."""

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None = None


@dataclass(frozen=True, slots=True)
class SignableRequest:
    """A request as it will be sent.

    `path` is the path on the wire, already percent-encoded; `query` the raw query without `?`.
    `headers` are those to be signed, `host` among them; no other header should be.
    """

    method: str
    path: str
    query: str
    headers: Headers
    body_sha256: str


class Signer:
    """Signs requests, and keeps the last signing keys, which hold for a day, region and service."""

    def __init__(self) -> None:
        self._signing_keys: dict[tuple[str, str, SigningScope], bytes] = {}

    def sign(
        self, request: SignableRequest, *, keys: AwsKeys, scope: SigningScope, now: datetime
    ) -> Headers:
        """Return the headers to add: `x-amz-date`, `authorization`, and the session token if any.

        `now` must be aware. The headers of `request` must hold none of these.
        """
        timestamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        added: list[tuple[str, str]] = [("x-amz-date", timestamp)]
        if keys.session_token is not None:
            added.append(("x-amz-security-token", keys.session_token.reveal()))
        canonical, signed_names = _canonical_request(request, (*request.headers, *added))
        date = timestamp[:8]
        credential_scope = f"{date}/{scope.region}/{scope.service}/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"{ALGORITHM}\n{timestamp}\n{credential_scope}\n{digest}"
        key = self._signing_key(keys.secret_access_key.reveal(), date, scope)
        signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
        authorization = (
            f"{ALGORITHM} Credential={keys.access_key_id}/{credential_scope},"
            f" SignedHeaders={signed_names}, Signature={signature}"
        )
        return (*added, ("authorization", authorization))

    def _signing_key(self, secret_access_key: str, date: str, scope: SigningScope) -> bytes:
        entry = (secret_access_key, date, scope)
        key = self._signing_keys.get(entry)
        if key is None:
            key = b"AWS4" + secret_access_key.encode()
            for part in (date, scope.region, scope.service, "aws4_request"):
                key = hmac.new(key, part.encode(), hashlib.sha256).digest()
            if len(self._signing_keys) >= _KEY_CACHE_SIZE:
                self._signing_keys.clear()
            self._signing_keys[entry] = key
        return key


def canonical_path(path: str) -> str:
    """Normalise dot segments and doubled slashes, then encode each byte that is not unreserved."""
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if segments:
                segments.pop()
        elif segment not in ("", "."):
            segments.append(segment)
    trailing = "/" if segments and path.endswith("/") else ""
    return quote("/" + "/".join(segments) + trailing, safe=_PATH_SAFE)


def canonical_query(query: str) -> str:
    """Sort the parameters by name, then value; they are taken as already encoded."""
    pairs = []
    for parameter in query.split("&") if query else ():
        name, _, value = parameter.partition("=")
        pairs.append((name, value))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _canonical_request(request: SignableRequest, headers: Headers) -> tuple[str, str]:
    header_lines, signed_names = _canonical_headers(headers)
    canonical = "\n".join(
        (
            request.method,
            canonical_path(request.path),
            canonical_query(request.query),
            header_lines,
            signed_names,
            request.body_sha256,
        )
    )
    return canonical, signed_names


def _canonical_headers(headers: Iterable[tuple[str, str]]) -> tuple[str, str]:
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(" ".join(value.split()))
    names = sorted(values)
    lines = "".join(f"{name}:{','.join(values[name])}\n" for name in names)
    return lines, ";".join(names)
