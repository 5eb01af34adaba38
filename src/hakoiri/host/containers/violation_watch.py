"""Tells of calls for which the filter killed a process, by the workspace whose it was."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final, Protocol

import structlog

from hakoiri.audit.event import AuditEvent, EventKind
from hakoiri.audit.writer import AuditLog
from hakoiri.host.containers.ports import ContainerEngine, EngineError
from hakoiri.host.containers.violations import ReportBound, Violation

UNKNOWN: Final = "unknown"
"""The process was gone before it could be asked, or none of ours made the call."""

log = structlog.get_logger(__name__)


class ViolationSource(Protocol):
    """Where violations are learned of."""

    def violations(self) -> AsyncGenerator[tuple[Violation, str | None], None]:
        """Yield each with the engine's id of its container, or None if it is unclear."""
        ...


class ViolationSink(Protocol):
    """Who is told: a log, a metric, an audit."""

    def report(self, violation: Violation, *, workspace_id: str) -> None:
        """Take one; `workspace_id` is `UNKNOWN` if nobody knows whose it was."""
        ...


class ViolationLog:
    """One line in the server's log for each, bounded: a container cannot fill the log with them."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        """`clock` gives monotonic seconds."""
        self._clock = clock
        self._bound = ReportBound()

    def report(self, violation: Violation, *, workspace_id: str) -> None:
        """Write a line, or count it for the next one."""
        held_back = self._bound.admit(self._clock())
        if held_back is not None:
            log.warning(
                "seccomp_violation",
                workspace_id=workspace_id,
                call=violation.call_name,
                pid=violation.pid,
                held_back=held_back,
            )


class ViolationCount:
    """Counts every one by its workspace, also those that the log holds back."""

    def __init__(self, count: Callable[[str], None]) -> None:
        """`count` takes a workspace's id, or `UNKNOWN`."""
        self._count = count

    def report(self, violation: Violation, *, workspace_id: str) -> None:
        """Count it."""
        del violation
        self._count(workspace_id)


class ViolationAudit:
    """Audits each, within the bound that the log has too: a container cannot fill it."""

    def __init__(self, audit: AuditLog, *, clock: Callable[[], float]) -> None:
        """`clock` gives monotonic seconds."""
        self._audit = audit
        self._clock = clock
        self._bound = ReportBound()

    def report(self, violation: Violation, *, workspace_id: str) -> None:
        """Tell of it, or count it for the next one."""
        held_back = self._bound.admit(self._clock())
        if held_back is None:
            return
        self._audit.tell(
            AuditEvent(
                kind=EventKind.SECCOMP_VIOLATION,
                succeeded=False,
                workspace=workspace_id,
                details={
                    "call": violation.call_name,
                    "pid": violation.pid,
                    "held_back": held_back,
                },
            )
        )


class ContainerOwners:
    """Whose a container is, by the engine's id; the engine is asked for those it has not named."""

    def __init__(
        self,
        *,
        engine: ContainerEngine,
        instance: str,
        workspace_in: Callable[[str], str | None],
    ) -> None:
        """`workspace_in` returns the workspace that is live in a container, by our id."""
        self._engine = engine
        self._instance = instance
        self._workspace_in = workspace_in
        self._ours: dict[str, str] = {}

    async def owner(self, engine_id: str) -> str | None:
        """Return the workspace, or None if the container is not ours or nobody's."""
        if engine_id not in self._ours:
            try:
                listed = await self._engine.list_ours(self._instance)
            except EngineError:
                return None
            self._ours = {one.engine_id: one.container_id for one in listed}
        container_id = self._ours.get(engine_id)
        return self._workspace_in(container_id) if container_id is not None else None


async def watch_violations(
    source: ViolationSource,
    *,
    owners: ContainerOwners,
    sinks: Sequence[ViolationSink],
) -> None:
    """Tell every sink of each violation until the source ends; a source that fails ends, too."""
    try:
        async with aclosing(source.violations()) as violations:
            async for violation, engine_id in violations:
                workspace_id = await owners.owner(engine_id) if engine_id is not None else None
                for sink in sinks:
                    sink.report(violation, workspace_id=workspace_id or UNKNOWN)
    except OSError as error:
        log.warning("violations_unwatched", reason=str(error))
