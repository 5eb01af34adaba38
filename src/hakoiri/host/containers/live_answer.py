"""Whether a workspace's live container can be used on: its agent is asked."""

from collections.abc import Callable

import structlog

from hakoiri.host.containers.gc import GcLimits, Reason, is_too_old
from hakoiri.host.containers.lifecycle import Lifecycle
from hakoiri.host.containers.live import Live
from hakoiri.host.containers.model import ContainerState
from hakoiri.host.containers.ports import (
    AgentProtocolError,
    AgentUnreachableError,
    BeingReplacedError,
    EngineAwayError,
    EngineError,
    FilesUnsavedError,
)
from hakoiri.host.containers.saved_removal import SavedRemoval
from hakoiri.wire.messages import Runtime

log = structlog.get_logger(__name__)


async def is_answering(live: Live, lifecycle: Lifecycle) -> bool:
    """Thaw it if it is frozen, and ask its agent how it is.

    Raises `EngineAwayError`, which says nothing of a frozen container: it is not lost.
    """
    if live.container.agent is None or live.container.state is ContainerState.HALTED:
        return False
    try:
        await lifecycle.thaw(live.container)
        await live.container.agent.health()
    except EngineAwayError:
        raise
    except (AgentUnreachableError, AgentProtocolError, EngineError) as error:
        log.info("container_lost", container=live.container.container_id, reason=str(error))
        return False
    return True


class LiveAnswer:
    """Sees whether a live container serves a claim; the caller holds the workspace's place."""

    def __init__(
        self,
        *,
        lifecycle: Lifecycle,
        removal: SavedRemoval,
        limits: GcLimits,
        clock: Callable[[], float],
    ) -> None:
        """`clock` gives monotonic seconds."""
        self._lifecycle = lifecycle
        self._removal = removal
        self._limits = limits
        self._clock = clock

    async def may_serve(self, live: Live, runtime: Runtime, holder: str) -> bool:
        """Whether it answers, is young enough, and runs as is asked for now.

        One that does not is saved and removed. One that is not idle, or that holds what cannot be
        saved, stays whatever is asked for.
        Raises `BeingReplacedError`, `FilesUnsavedError`.
        """
        if not await self._is_healthy(live, holder):
            return False
        reason = self._why_replaced(live, runtime)
        if reason is None:
            return True
        if await self._removal.of_held(live, reason, is_replaced=True):
            return False
        return await self._is_healthy(live, holder)  # it is frozen, and to be used on

    def _why_replaced(self, live: Live, runtime: Runtime) -> str | None:
        if live.idle_since_s is None:
            return None
        if is_too_old(live.member, now_s=self._clock(), limits=self._limits):
            return Reason.LIFETIME
        if live.runtime == runtime or live.is_unsaved:
            return None
        return f"the conversation runs under {runtime} now"

    async def _is_healthy(self, live: Live, holder: str) -> bool:
        if live.container.state is ContainerState.HALTED and live.holders - {holder}:
            raise BeingReplacedError(live.workspace_id)
        if await is_answering(live, self._lifecycle):
            return True
        if live.is_unsaved:
            raise FilesUnsavedError(live.workspace_id)
        if live.holders - {holder}:
            raise BeingReplacedError(live.workspace_id)
        if not await self._removal.of_held(live, "its agent does not answer", is_replaced=True):
            raise FilesUnsavedError(live.workspace_id)
        return False
