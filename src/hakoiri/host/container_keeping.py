"""How long containers are kept: the collector as the settings want it, and the server's end."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final

import anyio
import structlog

from hakoiri.host.containers.adoption import Adoption, Owners
from hakoiri.host.containers.collector import Collector
from hakoiri.host.containers.gc_limits import gc_limits
from hakoiri.host.containers.lifecycle import Lifecycle
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.ports import ChatSockets, ClaimStore, ContainersError
from hakoiri.host.launch import ServerLaunch
from hakoiri.host.settings import Settings
from hakoiri.host.telemetry.metrics import ServerMetrics

log = structlog.get_logger(__name__)

LAST_SAVES_S: Final = 8.0
"""For what containers hold at a stop, out of the time that a stop may take."""


def make_collector(
    settings: Settings,
    orchestrator: Orchestrator,
    lifecycle: Lifecycle,
    chats: ChatSockets,
    metrics: ServerMetrics,
) -> Collector:
    """Return the collector; it runs on the orchestrator's clock."""
    return Collector(
        orchestrator=orchestrator,
        lifecycle=lifecycle,
        chats=chats,
        tell=metrics,
        limits=gc_limits(settings),
        clock=time.monotonic,
    )


def make_adoption(
    orchestrator: Orchestrator,
    lifecycle: Lifecycle,
    claims: ClaimStore,
    owners: Owners,
    chats: ChatSockets,
) -> Adoption:
    """Return what takes over what an earlier server left; it runs on the orchestrator's clock."""
    return Adoption(
        orchestrator=orchestrator,
        lifecycle=lifecycle,
        claims=claims,
        owners=owners,
        chats=chats,
        clock=time.monotonic,
        now=partial(datetime.now, UTC),
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


async def let_go(orchestrator: Orchestrator, leaves: Callable[[], bool]) -> None:
    """Remove all containers, each after a last save, or leave them all.

    What cannot be saved in time is set aside on this host, for the next start to save.
    """
    if leaves():
        await orchestrator.leave()
        return
    unsaved = {member.container_id: member.workspace_id for member in orchestrator.members()}
    with anyio.move_on_after(LAST_SAVES_S):
        async with anyio.create_task_group() as saving:
            for container_id in list(unsaved):
                saving.start_soon(_save_last, orchestrator, container_id, unsaved)
    async with anyio.create_task_group() as ending:  # an engine that hangs is waited for once
        for container_id, workspace_id in unsaved.items():
            ending.start_soon(_set_aside, orchestrator, container_id, workspace_id)
    await orchestrator.close()


async def _set_aside(orchestrator: Orchestrator, container_id: str, workspace_id: str) -> None:
    log.error("files_set_aside", workspace=workspace_id, container=container_id)
    try:
        await orchestrator.set_aside(workspace_id, container_id=container_id)
    except ContainersError as error:
        log.warning("not_ended", workspace=workspace_id, reason=str(error))


async def _save_last(
    orchestrator: Orchestrator, container_id: str, unsaved: dict[str, str]
) -> None:
    """Save a container's files, and strike it off the list of those that are not."""
    workspace_id = unsaved[container_id]
    try:
        is_saved = await orchestrator.saved_removal.save_at_end(
            workspace_id, container_id=container_id
        )
    except Exception:  # noqa: BLE001 - the others are saved, and all containers end
        await log.aexception("workspace_not_saved", workspace=workspace_id)
        return
    if is_saved:
        del unsaved[container_id]
