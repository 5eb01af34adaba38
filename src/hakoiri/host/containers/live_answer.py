"""Whether a workspace's live container can be used on: its agent is asked."""

import structlog

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
from hakoiri.host.containers.removal import Removal
from hakoiri.wire.messages import Runtime

log = structlog.get_logger(__name__)


async def is_answering(live: Live, lifecycle: Lifecycle) -> bool:
    """Thaw it if it is frozen, and ask its agent how it is.

    Raises `EngineAwayError`, which says nothing of a frozen container: it is not lost.
    """
    if live.container.agent is None:
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

    def __init__(self, *, lifecycle: Lifecycle, removal: Removal) -> None:
        self._lifecycle = lifecycle
        self._removal = removal

    async def may_serve(self, live: Live, runtime: Runtime, holder: str) -> bool:
        """Whether it answers and runs as is asked for now; one that others need not is removed.

        One that is not idle, or that holds what could not be saved, stays whatever is asked for.
        Raises `BeingReplacedError`, `FilesUnsavedError`.
        """
        if not await self._is_healthy(live, holder):
            return False
        if live.runtime == runtime or live.idle_since_s is None or live.is_unsaved:
            return True
        reason = f"the conversation runs under {runtime} now"
        await self._removal.of(live, reason, is_replaced=True)
        return False

    async def _is_healthy(self, live: Live, holder: str) -> bool:
        if live.container.state is ContainerState.HALTED and live.holders - {holder}:
            raise BeingReplacedError(live.workspace_id)
        if await is_answering(live, self._lifecycle):
            return True
        if live.is_unsaved:
            raise FilesUnsavedError(live.workspace_id)
        if live.holders - {holder}:
            raise BeingReplacedError(live.workspace_id)
        await self._removal.of(live, "its agent does not answer", is_replaced=True)
        return False
