"""Which headers pass, in both directions.

On the model path an allow-list decides: the container's own credentials, cookies and `x-amz-*`
cannot be on it, so nothing needs to be told apart from ours. Elsewhere hop-by-hop headers fall.
"""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote, unquote_plus

from hakoiri.credential_proxy.framing import Headers
from hakoiri.credential_proxy.placeholders import PREFIX, has_placeholder
from hakoiri.credential_proxy.refusals import REASON_HEADER

HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""RFC 9110, section 7.6.1, and what older clients send."""

_SET_BY_US: Final = frozenset({"host", "content-length", "expect"})
_OF_TRACES: Final = frozenset({"traceparent", "tracestate", "baggage"})
"""W3C Trace Context and Baggage: a container has no say in any trace, ours or an upstream's."""

_NOT_PASSED_ON: Final = HOP_BY_HOP | _SET_BY_US | _OF_TRACES
_MODEL_PATH: Final = {
    "anthropic": frozenset(
        {"accept", "anthropic-beta", "anthropic-version", "content-type", "user-agent"}
    ),
    "bedrock": frozenset(
        {
            "accept",
            "content-type",
            "user-agent",
            "x-amzn-bedrock-accept",
            "x-amzn-bedrock-performanceconfig-latency",
            "x-amzn-bedrock-trace",
        }
    ),
}
_SDK_PREFIX: Final = "x-stainless-"
_CREDENTIALS: Final = frozenset(
    {
        "api-key",
        "authorization",
        "cookie",
        "private-token",
        "x-api-key",
        "x-auth-token",
        "x-goog-api-key",
    }
)
"""What a container could log in with as somebody else."""

_LOGIN: Final = re.compile(
    r"(?:.*-)?(?:token|api-?key|(?:access|app|application|auth|subscription)-key)"
)
"""How such headers are named by all the rest (`job-token`, `dd-api-key`); AWS's have their own."""

_LOGIN_PARAMETERS: Final = frozenset(
    {
        "access_token",
        "api_key",
        "apikey",
        "auth_token",
        "job_token",
        "oauth_token",
        "private_token",
    }
)
"""The same in a query (RFC 6750, section 2.3, and what APIs have besides)."""

_AWS_PREFIX: Final = "x-amz-"
_AWS_SIGNATURE: Final = frozenset(
    {
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-decoded-content-length",
        "x-amz-s3session-token",
        "x-amz-security-token",
    }
)
_AWS_KEY_PARAMETER: Final = "awsaccesskeyid"
"""Of S3's older presigned URLs (Amazon S3 API Reference, "Signing and authenticating REST
requests", signature version 2); without it the rest signs nothing."""

_OVERRIDES: Final = frozenset(
    {
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-url",
        "x-override-url",
        "x-rewrite-url",
    }
)
"""What frameworks take in place of the request line's method or path (CVE-2018-14773 for paths)."""

_NOT_FROM_UPSTREAM: Final = HOP_BY_HOP | {"alt-svc", REASON_HEADER}
"""`Alt-Svc` invites to a connection that the proxy would not see (RFC 7838); a reason would pass an
answer off as a refusal of ours."""

_NOT_FROM_A_MODEL_EITHER: Final = _NOT_FROM_UPSTREAM | {"set-cookie"}
_KEEP_ALIVE: Final = ["keep-alive"]  # names no header that would not fall anyway


def model_request_headers(headers: Headers, *, provider: str) -> Headers:
    """Keep what the model's API needs, once each; the last of doubled headers falls."""
    kept: dict[str, str] = {}
    for name, value in headers:
        if name in _MODEL_PATH[provider] or name.startswith(_SDK_PREFIX):
            kept.setdefault(name, value)
    return tuple(kept.items())


def egress_request_headers(headers: Headers) -> Headers:
    """Drop what is for this hop, by name and by `Connection`, what we set anew, and traces."""
    named = [value for name, value in headers if name == "connection"]
    dropped = _NOT_PASSED_ON | _tokens_of(named) if named else _NOT_PASSED_ON
    return tuple([header for header in headers if header[0] not in dropped])


def without_overrides(headers: Headers) -> Headers:
    """Drop what would put another method or path in place of those that were decided on."""
    return tuple([(name, value) for name, value in headers if _as_read(name) not in _OVERRIDES])


def without_credentials(headers: Headers, *, is_signed: bool) -> Headers:
    """Drop what the container would log in with itself, and its signature where we sign.

    A header that holds a placeholder stays: what it logs in with is ours.
    """
    dropped = _CREDENTIALS | _AWS_SIGNATURE if is_signed else _CREDENTIALS
    return tuple(
        [
            (name, value)
            for name, value in headers
            if not _is_login(_as_read(name), dropped) or has_placeholder(name, value)
        ]
    )


def _is_login(name: str, dropped: frozenset[str]) -> bool:
    is_named_so = _LOGIN.fullmatch(name) is not None and not name.startswith(_AWS_PREFIX)
    return name in dropped or is_named_so


def _as_read(name: str) -> str:
    """Return `name` as servers of the CGI family read it, to whom `_` and `-` are one."""
    return name.replace("_", "-")


def query_without_logins(query: str) -> str:
    """Drop what logs in, and what makes a URL presigned for AWS, however the names are spelt.

    A parameter that holds a placeholder stays.
    """
    if not query:
        return query
    return "&".join([pair for pair in query.split("&") if not _logs_in(pair)])


def _logs_in(pair: str) -> bool:
    if _is_of_signature(pair):
        return True
    names = {unquote_plus(part.partition("=")[0]) for part in pair.split(";")}
    read = {name.strip().lower().replace("-", "_") for name in names}
    return not read.isdisjoint(_LOGIN_PARAMETERS) and PREFIX not in unquote(pair)


def _is_of_signature(pair: str) -> bool:
    name = unquote(pair.partition("=")[0]).lower()
    return name.startswith(_AWS_PREFIX) or name == _AWS_KEY_PARAMETER


def answer_headers(headers: Headers, *, is_model: bool) -> Headers:
    """Keep what an answer may carry back; `headers` have names in any case."""
    dropped = _NOT_FROM_A_MODEL_EITHER if is_model else _NOT_FROM_UPSTREAM
    named = [value for name, value in headers if name.lower() == "connection"]
    if named and named != _KEEP_ALIVE:
        dropped |= _tokens_of(named)
    return tuple([header for header in headers if header[0].lower() not in dropped])


def _tokens_of(values: Iterable[str]) -> frozenset[str]:
    return frozenset(token.strip().lower() for value in values for token in value.split(","))
