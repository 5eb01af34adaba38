"""Whether a workspace's live container can be used on: its agent is asked."""

import structlog

from hakoiri.host.containers.lifecycle import Lifecycle
from hakoiri.host.containers.live import Live
from hakoiri.host.containers.ports import (
    AgentProtocolError,
    AgentUnreachableError,
    EngineAwayError,
    EngineError,
)

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
