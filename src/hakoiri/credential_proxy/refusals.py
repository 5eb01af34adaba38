"""How a refusal reads on the container's side.

On the model path it has the shape of the model API's own errors, so that the agent's CLI shows the
sentence to the user; elsewhere it is a problem document.
"""

import json
from typing import Final

from hakoiri.credential_proxy.decision import Retry, Route
from hakoiri.wire.problems import PROBLEM_MEDIA_TYPE, Problem

_ERROR_TYPES: Final = {
    400: "invalid_request_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    415: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}
"""Anthropic API, "Errors": HTTP status to error type; anything else is `api_error`."""

REASON_HEADER: Final = "x-hakoiri-reason"
"""Carries the stable code beside either shape."""


NO_RETRY: Final = ("x-should-retry", "false")
"""Anthropic's SDKs, and with them the agent's CLI, do not send a request again that got this,
whatever `Retry-After` says (seen with the CLI 2.1 on both APIs)."""


def retry_headers(retry: Retry | None) -> list[tuple[str, str]]:
    """Return what tells a client when to come again (RFC 9110, section 10.2.3), and whether to."""
    if retry is None:
        return []
    told = [("Retry-After", str(retry.after_s))]
    return told if retry.is_passing else [*told, NO_RETRY]


def render_refusal(
    *, status: int, code: str, reason: str, route: Route | None
) -> tuple[str, bytes]:
    """Return the media type and body of a refusal."""
    if route == "model":
        error = {
            "type": _ERROR_TYPES.get(status, "api_error"),
            "message": f"hakoiri credential proxy: {reason} ({code})",
        }
        return "application/json", json.dumps({"type": "error", "error": error}).encode()
    problem = Problem.of(code, title="refused by the proxy", status=status, detail=reason)
    return PROBLEM_MEDIA_TYPE, problem.model_dump_json().encode()
