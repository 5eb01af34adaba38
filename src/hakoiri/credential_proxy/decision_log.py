"""The decision log: one JSON line for each request, on standard output.

A line holds names, numbers and reasons, never a header's value, a body or a query.
"""

import json
import sys
from dataclasses import dataclass
from typing import Final, TextIO

import structlog

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.decision import Decision, Forward
from hakoiri.credential_proxy.framing import RequestHead

PATH_LIMIT_CHARS: Final = 256
ALLOWED: Final = "proxy_request_allowed"
BLOCKED: Final = "proxy_request_blocked"


@dataclass(slots=True)
class Outcome:
    """What became of one request; filled in as it goes. Bytes are of bodies and tunnels."""

    status: int = 0
    reason: str = "ok"
    bytes_up: int = 0
    bytes_down: int = 0
    first_byte_ms: float | None = None
    total_ms: float = 0.0
    queue_ms: float | None = None
    dns_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    sign_ms: float | None = None
    reused: bool = False
    scrubbed: int = 0


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose request it is."""

    container: str
    workspace: str | None = None
    tenant: str | None = None
    generation: int | None = None


class DecisionLog:
    """Writes the lines. `json` escapes every control character, so a line stays a line."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._logger = structlog.wrap_logger(
            structlog.WriteLogger(stream or sys.stdout),
            processors=[
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
                structlog.processors.JSONRenderer(serializer=json.dumps),
            ],
            wrapper_class=structlog.BoundLogger,
            cache_logger_on_first_use=True,
        )

    def decided(
        self, *, owner: Owner, head: RequestHead, decision: Decision, outcome: Outcome
    ) -> None:
        """Record a request that was decided on, once it is over."""
        authority: Authority | None
        if isinstance(decision, Forward):
            authority, injection = decision.upstream.authority, decision.injection
        else:
            authority, injection = decision.authority, None
        self._write(
            ALLOWED if isinstance(decision, Forward) else BLOCKED,
            owner=owner,
            outcome=outcome,
            method=head.method,
            route=decision.route,
            host=authority.host if authority is not None else None,
            port=authority.port if authority is not None else None,
            path=path_of(head),
            rule=decision.rule,
            credential=injection.credential if injection is not None else None,
        )

    def unreadable(self, *, owner: Owner, outcome: Outcome) -> None:
        """Record a request whose head was not sound enough to decide on."""
        self._write(BLOCKED, owner=owner, outcome=outcome, method=None, path=None)

    def _write(self, event: str, *, owner: Owner, outcome: Outcome, **fields: object) -> None:
        first_byte_ms = outcome.first_byte_ms
        self._logger.info(
            event,
            container=owner.container,
            workspace=owner.workspace,
            tenant=owner.tenant,
            generation=owner.generation,
            **fields,
            status=outcome.status,
            reason=outcome.reason,
            bytes_up=outcome.bytes_up,
            bytes_down=outcome.bytes_down,
            first_byte_ms=None if first_byte_ms is None else round(first_byte_ms, 3),
            total_ms=round(outcome.total_ms, 3),
        )


def path_of(head: RequestHead) -> str:
    """Return the path of a target for the log: without query, authority and user name, cut."""
    if head.method == "CONNECT":
        return ""
    path = head.target.partition("?")[0].partition("#")[0]
    if not path.startswith("/"):
        path = "/" + path.partition("://")[2].partition("/")[2]
    return path[:PATH_LIMIT_CHARS]
