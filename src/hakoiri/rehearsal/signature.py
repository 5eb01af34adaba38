"""Is this request signed as AWS would demand? Checked with botocore, which is not ours.

The request is rebuilt from the bytes received and signed anew with the configured key; the two
signatures must be equal. Rules: AWS docs, "Signature Version 4 signing process" and "Troubleshoot
AWS SigV4 requests". botocore encodes the received path once more, as every service but S3 does, so
the path must come here exactly as it stood on the wire.
"""

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

SERVICE: Final = "bedrock"
"""Bedrock's runtime signs under the control plane's name, not as `bedrock-runtime`."""

CLOCK_SKEW_LIMIT_S: Final = 300
TIMESTAMP_FORMAT: Final = "%Y%m%dT%H%M%SZ"
AUTHORIZATION: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[A-Za-z0-9]{1,128})/(?P<date>[0-9]{8})"
    r"/(?P<region>[a-z0-9-]{1,64})/(?P<service>[a-z0-9-]{1,64})/aws4_request, ?"
    r"SignedHeaders=(?P<headers>[a-z0-9-]+(?:;[a-z0-9-]+)*), ?Signature=(?P<signature>[0-9a-f]{64})"
)
TARGET: Final = re.compile(r"/[A-Za-z0-9\-._~%!$&'()*+,;=:@/]*")
QUERY: Final = re.compile(r"[A-Za-z0-9\-._~%!$&'()*+,;=:@/?]*")
SINGLE: Final = frozenset(
    {"authorization", "host", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"}
)


class SignatureError(Exception):
    """The request is refused; `code` is AWS's name of the error, the message its reason."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as it came: raw path and query, header names in lower case, the whole body."""

    method: str
    raw_path: str
    raw_query: str
    headers: Sequence[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of `name`."""
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The one key that is accepted, and where. Its secrets show in no repr."""

    access_key_id: str
    secret_access_key: str
    region: str
    session_token: str | None = None

    def __repr__(self) -> str:
        return f"SigningKey({self.access_key_id!r}, region={self.region!r})"


def verify(request: ReceivedRequest, *, key: SigningKey, now: datetime) -> None:
    """Check the signature of `request`. Raises `SignatureError` with AWS's code and a reason."""
    repeated = [
        name
        for name, count in Counter(name for name, _ in request.headers).items()
        if count > 1 and name in SINGLE
    ]
    if repeated:
        _refuse("IncompleteSignatureException", f"{repeated[0]} is given more than once")
    claim = _claim(request)
    signed = claim["headers"].split(";")
    _check_scope(claim, key)
    timestamp = _check_time(request, claim["date"], now)
    _check_signed_headers(request, signed)
    _check_token(request, key)
    _check_body(request)
    expected = _expected_signature(request, signed=signed, key=key, timestamp=timestamp)
    if not hmac.compare_digest(expected, claim["signature"]):
        _refuse(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided.",
        )


def claimed_access_key_id(request: ReceivedRequest) -> str | None:
    """The access key id that the request names, true or not; for the journal."""
    match = AUTHORIZATION.fullmatch(request.header("authorization") or "")
    return match["key"] if match else None


def _claim(request: ReceivedRequest) -> dict[str, str]:
    authorization = request.header("authorization")
    if authorization is None:
        _refuse("MissingAuthenticationTokenException", "Missing Authentication Token")
    match = AUTHORIZATION.fullmatch(authorization)
    if match is None:
        _refuse("IncompleteSignatureException", "Authorization is not an AWS4-HMAC-SHA256 header")
    return match.groupdict()


def _check_scope(claim: dict[str, str], key: SigningKey) -> None:
    if not hmac.compare_digest(claim["key"].encode(), key.access_key_id.encode()):
        _refuse(
            "UnrecognizedClientException", "The security token included in the request is invalid."
        )
    if claim["region"] != key.region:
        _refuse(
            "InvalidSignatureException",
            f"Credential should be scoped to region {key.region}, not {claim['region']}",
        )
    if claim["service"] != SERVICE:
        _refuse(
            "InvalidSignatureException",
            f"Credential should be scoped to service {SERVICE}, not {claim['service']}",
        )


def _check_time(request: ReceivedRequest, scope_date: str, now: datetime) -> str:
    timestamp = request.header("x-amz-date")
    if timestamp is None:
        _refuse("IncompleteSignatureException", "x-amz-date is missing")
    try:
        signed_at = datetime.strptime(timestamp, TIMESTAMP_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        _refuse("IncompleteSignatureException", "x-amz-date is not like 20260102T030405Z")
    if not timestamp.startswith(scope_date):
        _refuse("InvalidSignatureException", "The scope's date is not that of x-amz-date")
    skew_s = (now - signed_at).total_seconds()
    if abs(skew_s) > CLOCK_SKEW_LIMIT_S:
        state = "expired" if skew_s > 0 else "not yet current"
        _refuse(
            "InvalidSignatureException",
            f"Signature {state}: {timestamp} is {abs(skew_s):.0f} s away from this clock",
        )
    return timestamp


def _check_signed_headers(request: ReceivedRequest, signed: list[str]) -> None:
    if signed != sorted(set(signed)):
        _refuse("IncompleteSignatureException", "SignedHeaders must be sorted, each name once")
    present = {name for name, _ in request.headers}
    missing = [name for name in signed if name not in present]
    if missing:
        _refuse("InvalidSignatureException", f"signed header {missing[0]} is not in the request")
    # AWS: host and every x-amz- header must be signed.
    required = {"host"} | {name for name in present if name.startswith("x-amz-")}
    unsigned = sorted(required - set(signed))
    if unsigned:
        _refuse("InvalidSignatureException", f"header {unsigned[0]} must be signed")


def _check_token(request: ReceivedRequest, key: SigningKey) -> None:
    given, wanted = request.header("x-amz-security-token") or "", key.session_token or ""
    if not hmac.compare_digest(given.encode(), wanted.encode()):
        _refuse(
            "UnrecognizedClientException", "The security token included in the request is invalid."
        )


def _check_body(request: ReceivedRequest) -> None:
    given = request.header("x-amz-content-sha256")
    if given is not None and not hmac.compare_digest(
        given.encode(), hashlib.sha256(request.body).hexdigest().encode()
    ):
        _refuse("InvalidSignatureException", "x-amz-content-sha256 is not the hash of the body")


class _AsReceived(SigV4Auth):  # type: ignore[misc]  # botocore is untyped
    """botocore's signer over exactly the headers that the request says were signed."""

    def __init__(self, key: SigningKey, signed: list[str]) -> None:
        super().__init__(Credentials(key.access_key_id, key.secret_access_key), SERVICE, key.region)
        self._signed = signed

    def headers_to_sign(self, request: Any) -> Any:
        """Leave out what was not signed; botocore would guess by its own list."""
        headers = HTTPHeaders()
        for name, value in request.headers.items():
            if name.lower() in self._signed:
                headers[name.lower()] = value
        return headers


def _expected_signature(
    request: ReceivedRequest, *, signed: list[str], key: SigningKey, timestamp: str
) -> str:
    if not TARGET.fullmatch(request.raw_path) or not QUERY.fullmatch(request.raw_query):
        _refuse("InvalidSignatureException", "The request target is not a path and a query")
    # The host plays no part in the canonical path; the signed header is taken as received.
    url = "http://upstream.invalid" + request.raw_path
    rebuilt = AWSRequest(
        method=request.method,
        url=f"{url}?{request.raw_query}" if request.raw_query else url,
        data=request.body,
    )
    for name, value in request.headers:
        rebuilt.headers[name] = value
    rebuilt.context["timestamp"] = timestamp
    signer = _AsReceived(key, signed)
    canonical = signer.canonical_request(rebuilt)
    return str(signer.signature(signer.string_to_sign(rebuilt, canonical), rebuilt))


def _refuse(code: str, reason: str) -> NoReturn:
    raise SignatureError(code, reason)
