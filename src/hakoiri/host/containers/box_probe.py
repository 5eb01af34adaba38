"""A look at a box from inside: in a container of its own, which nobody gets."""

from dataclasses import dataclass
from typing import Final, Literal

import structlog

from hakoiri.host.containers.lifecycle import Lifecycle
from hakoiri.host.containers.model import ContainerDirectories, new_container_id
from hakoiri.host.containers.ports import ContainersError
from hakoiri.wire.messages import Runtime
from hakoiri.wire.probe import ProbeReport, ProbeRequest

SHOWN_LIMIT: Final = 20
"""Open findings that are told; of more there is only the number."""

log = structlog.get_logger(__name__)


async def look_at_a_box(
    lifecycle: Lifecycle, *, runtime: Runtime, thorough: bool = False
) -> ProbeReport:
    """Start a container, have it looked at, and remove it, whatever comes of it.

    Raises:
        ContainersError: it could not be started or looked at.
    """
    container = await lifecycle.start(
        new_container_id(), prepare=_nothing, runtime=runtime, kind="probe"
    )
    try:
        if container.agent is None:
            raise ContainersError("the container has no agent to ask")
        return await container.agent.probe(
            ProbeRequest(
                runtime=runtime,
                owner_uid=container.directories.owner_uid,
                owner_gid=container.directories.owner_gid,
                thorough=thorough,
            )
        )
    finally:
        await lifecycle.stop(container)


async def _nothing(_: ContainerDirectories) -> None:
    """Leave the directories as they were made."""


@dataclass(frozen=True, slots=True)
class ProbeTold:
    """What is known of the boxes of this server. `open` names what was found open, bounded."""

    state: Literal["off", "running", "done", "failed"]
    refused: int = 0
    open: tuple[str, ...] = ()
    reason: str = ""


class BoxProbe:
    """Looks once, when the server starts."""

    def __init__(self, *, lifecycle: Lifecycle, runtime: Runtime) -> None:
        """Look at boxes of the runtime that containers get."""
        self._lifecycle = lifecycle
        self._runtime = runtime
        self.told = ProbeTold("off")

    async def run(self) -> None:
        """Look, and keep what was found."""
        self.told = ProbeTold("running")
        try:
            report = await look_at_a_box(self._lifecycle, runtime=self._runtime)
        except ContainersError as error:
            self.told = ProbeTold("failed", reason=str(error))
            log.warning("probe_failed", reason=str(error))
            return
        names = tuple(f"{found.name}: {found.how}" for found in report.open)
        refused = len(report.findings) - len(names)
        self.told = ProbeTold("done", refused=refused, open=names[:SHOWN_LIMIT])
        tell = log.warning if names else log.info
        tell("probe_done", refused=refused, open=len(names), findings=names[:SHOWN_LIMIT])
