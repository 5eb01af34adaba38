"""What is kept of each call: its line, and in the audit log what was refused, made and removed."""

from typing import Final

from hakoiri.audit.event import AuditEvent, EventKind
from hakoiri.audit.writer import AuditLog
from hakoiri.docker_guard.call_log import CallLog
from hakoiri.docker_guard.calls import ActOnContainer, Call, CreateContainer
from hakoiri.wire.guard import engine_name
from hakoiri.wire.problems import AUDIT_UNAVAILABLE

CREATED: Final = 201
REMOVED: Final = 204
_PREFIX: Final = engine_name("")


class CallRecords:
    """Writes the log and tells the audit log."""

    def __init__(self, *, log: CallLog, audit: AuditLog) -> None:
        self._log = log
        self._audit = audit

    def answered(
        self,
        call: Call | None,
        *,
        method: str,
        target: str,
        status: int,
        code: str | None = None,
        reason: str | None = None,
        uid: int | None = None,
        pid: int | None = None,
        total_ms: float = 0.0,
    ) -> None:
        """Record one call as it ended; `call` is None for what was not one.

        A `code` means that it was refused or failed.
        """
        self._log.write(
            method=method,
            target=target,
            status=status,
            code=code,
            reason=reason,
            uid=uid,
            pid=pid,
            total_ms=total_ms,
        )
        event = audit_event(
            call, method=method, target=target, status=status, code=code, reason=reason, uid=uid
        )
        if event is not None:
            self._audit.tell(event)


def audit_event(
    call: Call | None,
    *,
    method: str,
    target: str,
    status: int,
    code: str | None,
    reason: str | None,
    uid: int | None,
) -> AuditEvent | None:
    """Return what the audit log is told of a call; None for what changes nothing."""
    if code == AUDIT_UNAVAILABLE:
        return None  # what waits for a disk is what was done
    actor = f"uid:{uid}" if uid is not None else None
    if code is not None:
        return AuditEvent(
            kind=EventKind.ENGINE_CALL_REFUSED,
            succeeded=False,
            container=_container_of(call),
            actor=actor,
            details={"method": method, "target": target, "code": code, "reason": reason},
        )
    if isinstance(call, CreateContainer) and status == CREATED:
        return AuditEvent(
            kind=EventKind.CONTAINER_CREATED, container=call.container_id, actor=actor
        )
    if isinstance(call, ActOnContainer) and call.action == "remove" and status == REMOVED:
        return AuditEvent(
            kind=EventKind.CONTAINER_REMOVED, container=_container_of(call), actor=actor
        )
    return None


def _container_of(call: Call | None) -> str | None:
    if isinstance(call, CreateContainer):
        return call.container_id
    if isinstance(call, ActOnContainer):
        return call.reference.removeprefix(_PREFIX)
    return None
