"""How long containers are kept: the collector as the settings want it, and the server's end."""

import os
import time
from collections.abc import Callable
from typing import Final

import anyio
import structlog

from hakoiri.host.containers.collector import Collector, Save
from hakoiri.host.containers.gc import GcLimits
from hakoiri.host.containers.lifecycle import Lifecycle
from hakoiri.host.containers.live import Live
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.ports import ContainersError
from hakoiri.host.conversations.workspace_owners import WorkspaceOwners
from hakoiri.host.launch import ServerLaunch
from hakoiri.host.settings import Settings
from hakoiri.host.telemetry.metrics import ServerMetrics

log = structlog.get_logger(__name__)

LAST_SAVES_S: Final = 8.0
"""For what could not be saved before, out of the time that a stop may take."""

STRAY_GRACE_S: Final = 60.0
"""Added to the longest start: nothing that somebody may still be about is taken for a stray."""


def make_collector(
    settings: Settings,
    orchestrator: Orchestrator,
    lifecycle: Lifecycle,
    owners: WorkspaceOwners,
    metrics: ServerMetrics,
) -> Collector:
    """Return the collector; it runs on the orchestrator's clock."""
    given = settings.container
    return Collector(
        orchestrator=orchestrator,
        lifecycle=lifecycle,
        save=owners.save,
        tell=metrics,
        limits=GcLimits(
            idle_timeout_s=given.idle_timeout_s,
            idle_timeout_max_s=given.idle_timeout_max_s or given.idle_timeout_s,
            lifetime_s=given.lifetime_s,
            pause_after_s=given.pause_after_s or None,
            # longer than any start or removal that somebody else may be about
            stray_grace_s=given.start_timeout_s + STRAY_GRACE_S,
        ),
        clock=time.monotonic,
    )


class Leaving:
    """Tells whether containers stay when this process ends, to be adopted by the next server.

    They do if the operator wants it so, at the start or, for this one end, by a signal; and if it
    was not he who ended us: a supervisor that is killed takes us with it (`--pdeathsig`), and we
    are another's child by then.
    """

    def __init__(self, launch: ServerLaunch, *, parent: Callable[[], int] = os.getppid) -> None:
        """Remember whose child we are."""
        self._is_wanted = launch.keep_containers
        self._parent = parent
        self._supervisor = parent()

    def ask(self) -> None:
        """Let containers stay when this process ends."""
        self._is_wanted = True

    def __call__(self) -> bool:
        """Whether they stay."""
        return self._is_wanted or self._parent() != self._supervisor


async def let_go(orchestrator: Orchestrator, save: Save, leaves: Callable[[], bool]) -> None:
    """Remove all containers, those with the only copy of files after a save, or leave them all.

    What cannot be saved in time is set aside on this host, for the next start to save.
    """
    if leaves():
        await orchestrator.leave()
        return
    with anyio.move_on_after(LAST_SAVES_S):
        async with anyio.create_task_group() as saving:
            for live in _unsaved(orchestrator):
                saving.start_soon(_save_last, live, save)
    async with anyio.create_task_group() as ending:  # an engine that hangs is waited for once
        for live in _unsaved(orchestrator):
            ending.start_soon(_set_aside, orchestrator, live)
    await orchestrator.close()


async def _set_aside(orchestrator: Orchestrator, live: Live) -> None:
    container_id = live.container.container_id
    log.error("files_set_aside", workspace=live.workspace_id, container=container_id)
    try:
        await orchestrator.set_aside(live.workspace_id, container_id=container_id)
    except ContainersError as error:
        log.warning("not_ended", workspace=live.workspace_id, reason=str(error))


def _unsaved(orchestrator: Orchestrator) -> list[Live]:
    """Return the containers with the only copy of files; of one in use nobody has said it."""
    found = [orchestrator.live_in(member.workspace_id) for member in orchestrator.members()]
    return [live for live in found if live is not None and (live.is_unsaved or live.holders)]


async def _save_last(live: Live, save: Save) -> None:
    try:
        is_saved = await save(
            live.workspace_id,
            generation=live.generation,
            directories=live.container.directories,
        )
    except Exception:  # noqa: BLE001 - the others are saved, and all containers end
        await log.aexception("workspace_not_saved", workspace=live.workspace_id)
        return
    if is_saved:
        live.is_unsaved = False
        live.holders.clear()
