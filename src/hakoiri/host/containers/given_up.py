"""Live containers whose workspaces another server has taken over, as this one was silent too long.

They may save nothing any more, since their generation is an old one. What runs in them is ended,
and nobody is let into them, so that no work is done that could not be kept.
"""

import structlog

from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.ports import ClaimStore

REASON = "another server has taken the workspace over"

log = structlog.get_logger(__name__)


class GivenUp:
    """Holds what is live here against what the database says. Raises `ContainersError`."""

    def __init__(self, *, orchestrator: Orchestrator, claims: ClaimStore) -> None:
        """`claims` are this server's own."""
        self._orchestrator = orchestrator
        self._claims = claims

    async def check(self, workspace_id: str) -> None:
        """Remove the workspace's container if it was given up."""
        live = self._orchestrator.live_in(workspace_id)
        if live is not None:
            await self._drop_unclaimed({live.container.container_id: workspace_id})

    async def step(self) -> None:
        """Remove all that were given up."""
        members = self._orchestrator.members()
        if members:
            await self._drop_unclaimed({one.container_id: one.workspace_id for one in members})

    async def _drop_unclaimed(self, members: dict[str, str]) -> None:
        claimed = {record.container_id for record in await self._claims.claimed()}
        for container_id, workspace_id in members.items():
            live = self._orchestrator.live_in(workspace_id, container_id)
            # A container leaves what is live here before its claim goes, if this server removes it.
            if container_id in claimed or live is None:
                continue
            log.warning("container_given_up", workspace=workspace_id, container=container_id)
            await self._orchestrator.retire(workspace_id, reason=REASON, container_id=container_id)
