"""A policy that is replaced while containers are live: none goes on under the old one."""

import structlog

from hakoiri.host.containers.claim_start import ClaimStart
from hakoiri.host.containers.lifecycle import Lifecycle
from hakoiri.host.containers.live import Live
from hakoiri.host.containers.model import ContainerState
from hakoiri.host.containers.ports import ContainersError, PolicyRefusedError
from hakoiri.host.containers.removal import Removal
from hakoiri.wire.policy import Policy

REASON = "policy-not-applied"

log = structlog.get_logger(__name__)


class NewPolicy:
    """Puts a live container under another policy; the caller holds the workspace's place."""

    def __init__(self, *, start: ClaimStart, lifecycle: Lifecycle, removal: Removal) -> None:
        self._start = start
        self._lifecycle = lifecycle
        self._removal = removal

    async def put(self, live: Live, policy: Policy, *, ends_refused: bool) -> None:
        """Bind its socket anew; one for which that fails is ended before the error is raised.

        `PolicyRefusedError` leaves it as it was, unless the caller wants it to end then, too.
        """
        if live.container.state is ContainerState.HALTED:
            live.policy = policy  # nothing runs in it, and nothing is to open its socket again
            return
        try:
            await self._start.bind(live, policy)
        except PolicyRefusedError:
            if ends_refused:
                await self._end(live)
            raise
        except ContainersError:
            await self._end(live)
            raise

    async def _end(self, live: Live) -> None:
        """End it; what only it holds stays, for its turn or the collector to save."""
        if live.holders or live.is_unsaved:
            live.is_unsaved = True
            try:
                await self._lifecycle.thaw(live.container)
                await self._lifecycle.halt(live.container)
            except ContainersError as error:
                log.warning("not_ended", workspace=live.workspace_id, reason=str(error))
            else:
                log.info("container_halted", container=live.container.container_id, reason=REASON)
                return
        await self._removal.of(live, REASON)
