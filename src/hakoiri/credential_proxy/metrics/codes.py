"""The codes with which requests end: a closed set, so that no other text becomes a label."""

from typing import Final

OK: Final = "ok"
OTHER: Final = "(other)"
"""For a code that is not in the set; a test finds those that are missing."""

CODES: Final = frozenset({
    "address-refused",
    "ambiguous-path",
    "audit-unavailable",
    "bad-authority",
    "bad-body",
    "bad-model-id",
    "bad-request",
    "bad-scheme",
    "bad-target",
    "body-timeout",
    "body-too-large",
    "client-gone",
    "client-stalled",
    "content-encoding",
    "copy-not-allowed",
    "credential-not-ready",
    "credential-unknown",
    "cut",
    "head-timeout",
    "host-mismatch",
    "host-not-allowed",
    "host-not-found",
    "intercept-required",
    "internal",
    "ip-literal",
    "max-tokens-missing",
    "method-not-allowed",
    "misdirected-request",
    "model-not-allowed",
    "model-not-counted",
    "model-without-price",
    "no-model-route",
    "over-budget",
    "path-not-allowed",
    "placeholder-not-allowed",
    "policy-changed",
    "port-not-allowed",
    "query-not-allowed",
    "reach-not-allowed",
    "region-not-allowed",
    "streaming-signature",
    "tls-handshake-failed",
    "too-many-connections",
    "too-many-requests",
    "tunnel-name-hidden",
    "tunnel-name-mismatch",
    "tunnel-name-missing",
    "tunnel-not-tls",
    "unbound",
    "unreadable-coding",
    "upgrade-not-supported",
    "upstream-bomb",
    "upstream-broken",
    "upstream-busy",
    "upstream-certificate",
    "upstream-timeout",
    "upstream-unreachable",
    "websocket-not-allowed",
})  # fmt: skip


def code_label(code: str) -> str | None:
    """Return the label for how a request ended, or None when it ended as it should."""
    if code == OK:
        return None
    return code if code in CODES else OTHER
