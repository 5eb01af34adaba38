"""A look at a box from inside: in a container of its own, which nobody gets."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import structlog

from hakoiri.audit.event import AuditEvent, Detail, EventKind
from hakoiri.audit.writer import AuditLog
from hakoiri.host.containers.hardening import ContainerLimits
from hakoiri.host.containers.lifecycle import Lifecycle
from hakoiri.host.containers.model import ContainerDirectories
from hakoiri.host.containers.ports import ContainersError
from hakoiri.wire.box import Namespace
from hakoiri.wire.messages import Runtime
from hakoiri.wire.probe import ProbeReport, ProbeRequest

SHOWN_LIMIT: Final = 20
"""Open findings that are told of a runtime; of more there is only the number."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenFromOutside:
    """What a box is held against and cannot know by itself.

    `namespaces` are this process's own, `apparmor` is the label that the engine gives under runc,
    None where the kernel has none.
    """

    namespaces: Mapping[Namespace, int]
    apparmor: str | None
    limits: ContainerLimits


@dataclass(frozen=True, slots=True)
class Look:
    """A report, and how long it was waited for: `took_s` without its container's start."""

    report: ProbeReport
    took_s: float


async def look_at_a_box(
    lifecycle: Lifecycle,
    *,
    runtime: Runtime,
    outside: SeenFromOutside,
    thorough: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Look:
    """Start a container, have it looked at, and remove it, whatever comes of it.

    Raises:
        ContainersError: it could not be started or looked at.
    """
    container = await lifecycle.start(
        lifecycle.new_container_id(), prepare=_nothing, runtime=runtime, kind="probe"
    )
    try:
        if container.agent is None:
            raise ContainersError("the container has no agent to ask")
        request = _request(runtime, container.directories, outside, thorough=thorough)
        began_s = clock()
        report = await container.agent.probe(request)
        return Look(report, clock() - began_s)
    finally:
        await lifecycle.stop(container)


def _request(
    runtime: Runtime,
    directories: ContainerDirectories,
    outside: SeenFromOutside,
    *,
    thorough: bool,
) -> ProbeRequest:
    return ProbeRequest(
        runtime=runtime,
        owner_uid=directories.owner_uid,
        owner_gid=directories.owner_gid,
        namespaces=dict(outside.namespaces),
        open_files=outside.limits.open_files,
        file_limit_bytes=outside.limits.file_limit_bytes,
        apparmor=outside.apparmor,
        thorough=thorough,
    )


async def _nothing(_: ContainerDirectories) -> None:
    """Leave the directories as they were made."""


State = Literal["off", "running", "done", "failed"]


@dataclass(frozen=True, slots=True)
class ProbeTold:
    """What is known of the boxes of a runtime. `open` names what was found open, bounded.

    `took_s` is how long the look took, `processor_s` what it took of the processor; the start of
    its container is in neither.
    """

    state: State
    refused: int = 0
    open: tuple[str, ...] = ()
    reason: str = ""
    took_s: float = 0
    processor_s: float = 0


Told = Mapping[Runtime, ProbeTold]


def summed(told: Told) -> ProbeTold:
    """Return what is known of all runtimes together: done only when all are, failed if one is."""
    states = [one.state for one in told.values()]
    worst: Sequence[State] = ("failed", "running", "off")
    return ProbeTold(
        next((state for state in worst if state in states), "done"),
        refused=sum(one.refused for one in told.values()),
        open=tuple(f"{runtime}: {name}" for runtime, one in told.items() for name in one.open),
        reason="; ".join(f"{runtime}: {one.reason}" for runtime, one in told.items() if one.reason),
        took_s=sum(one.took_s for one in told.values()),
        processor_s=sum(one.processor_s for one in told.values()),
    )


class ProbeTally(Protocol):
    """Is told of each look that was finished."""

    def probed(self, runtime: Runtime, *, refused: int, still_open: int) -> None:
        """Take note of it."""


class BoxProbe:
    """Looks once at a box of each runtime, when the server starts."""

    def __init__(
        self,
        *,
        lifecycle: Lifecycle,
        runtimes: Sequence[Runtime],
        outside: Callable[[], Awaitable[SeenFromOutside]],
        tally: ProbeTally,
        audit: AuditLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look at boxes of the runtimes that containers can get; `clock` gives seconds."""
        self._lifecycle = lifecycle
        self._outside = outside
        self._tally = tally
        self._audit = audit
        self._clock = clock
        self.told: dict[Runtime, ProbeTold] = {runtime: ProbeTold("off") for runtime in runtimes}

    async def run(self) -> None:
        """Look at one after the other, so that turns have the host, and keep what was found."""
        self.told = {runtime: ProbeTold("running") for runtime in self.told}
        for runtime in self.told:
            try:
                told = await self._look(runtime)
            except ContainersError as error:
                told = ProbeTold("failed", reason=str(error))
                log.warning("probe_failed", runtime=runtime, reason=str(error))
                self._put_on_record(runtime, succeeded=False, reason=str(error))
            self.told[runtime] = told

    async def _look(self, runtime: Runtime) -> ProbeTold:
        outside = await self._outside()
        look = await look_at_a_box(
            self._lifecycle, runtime=runtime, outside=outside, clock=self._clock
        )
        report, took_s = look.report, look.took_s
        names = tuple(f"{found.name}: {found.how}" for found in report.open)
        refused = len(report.findings) - len(names)
        self._tally.probed(runtime, refused=refused, still_open=len(names))
        self._put_on_record(
            runtime, succeeded=not names, refused=refused, open=len(names), findings=names
        )
        tell = log.warning if names else log.info
        tell(
            "probe_done",
            runtime=runtime,
            refused=refused,
            open=len(names),
            findings=names[:SHOWN_LIMIT],
            took_s=round(took_s, 3),
            processor_s=round(report.processor_s, 3),
        )
        return ProbeTold(
            "done",
            refused=refused,
            open=names[:SHOWN_LIMIT],
            took_s=took_s,
            processor_s=report.processor_s,
        )

    def _put_on_record(self, runtime: Runtime, *, succeeded: bool, **details: Detail) -> None:
        self._audit.tell(
            AuditEvent(
                kind=EventKind.BOX_PROBED,
                succeeded=succeeded,
                details={"runtime": runtime} | details,
            )
        )
