"""What is counted of one request, told from what was decided and what became of it. No I/O."""

from typing import Final, Literal, NamedTuple

from hakoiri.credential_proxy.decision import Decision, Forward, Route
from hakoiri.credential_proxy.decision_log import Outcome
from hakoiri.credential_proxy.metrics.codes import code_label

Phase = Literal["queue", "dns", "connect", "tls", "sign", "first_byte"]
PHASES: Final[tuple[Phase, ...]] = ("queue", "dns", "connect", "tls", "sign", "first_byte")
"""In the order of `Observation.phases_ms`."""

StatusClass = Literal["1xx", "2xx", "3xx", "4xx", "5xx", "none"]
_CLASSES: Final[tuple[StatusClass, ...]] = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
_SWITCHED: Final = 101
_TUNNELS: Final = frozenset({"tunnel", "intercept"})


class Observation(NamedTuple):
    """One request. `rule` is the policy's, None when none had a say.

    `code` tells how it ended if not as it should. `is_tunnel`: its time is that of a connection,
    not of a request.
    """

    rule: str | None
    route: Route | None
    is_allowed: bool
    status: StatusClass
    code: str | None
    phases_ms: tuple[float | None, ...]
    total_ms: float
    is_tunnel: bool
    bytes_up: int
    bytes_down: int
    scrubbed_headers: int
    scrubbed_body: int


def observe(decision: Decision | None, outcome: Outcome) -> Observation:
    """Tell what is counted; no decision was made on a request that could not be read."""
    status = outcome.status
    route = decision.route if decision is not None else None
    return Observation(
        (decision.rule or None) if decision is not None else None,
        route,
        isinstance(decision, Forward),
        _CLASSES[status // 100] if status < len(_CLASSES) * 100 else "none",
        code_label(outcome.reason),
        (
            outcome.queue_ms,
            outcome.dns_ms,
            outcome.connect_ms,
            outcome.tls_ms,
            outcome.sign_ms,
            outcome.first_byte_ms,
        ),
        outcome.total_ms,
        route in _TUNNELS or status == _SWITCHED,
        outcome.bytes_up,
        outcome.bytes_down,
        outcome.scrubbed_headers,
        outcome.scrubbed - outcome.scrubbed_headers,
    )
