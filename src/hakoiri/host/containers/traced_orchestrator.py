"""An orchestrator whose claims are traced, and whose sockets forget a trace that is over."""

from contextlib import suppress
from typing import Any

from hakoiri.host.containers.live import TURN
from hakoiri.host.containers.model import Claim, ContainerState
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.ports import ContainersError
from hakoiri.tracing import names
from hakoiri.tracing.spans import span


class TracedOrchestrator(Orchestrator):
    """Does what `Orchestrator` does, and costs nothing where nothing is traced."""

    async def claim(self, *args: Any, **asked: Any) -> Claim:
        """Claim as `Orchestrator` does."""
        with span("claim") as told:
            claim = await super().claim(*args, **asked)
            told.set(names.CLAIM_START, claim.start)
            told.set(names.CONTAINER, claim.container_id)
        return claim

    async def release(
        self, workspace_id: str, *, holder: str = TURN, is_saved: bool | None = None
    ) -> None:
        """Release as `Orchestrator` does; an idle container's requests belong to no trace."""
        await super().release(workspace_id, holder=holder, is_saved=is_saved)
        if (live := self._live.get(workspace_id)) is None or live.traceparent is None:
            return
        async with self.place(workspace_id):
            if self._live.get(workspace_id) is live and live.idle_since_s is not None:
                live.traceparent = None
                if live.container.state is ContainerState.HALTED:
                    return  # its socket is closed, and stays so
                # A proxy that is away has forgotten the trace by itself.
                with suppress(ContainersError):
                    await self._start.bind(live, live.policy)
