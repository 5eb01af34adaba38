"""Claims that could not be given back at once: they are owed, and given back as soon as it works.

A claim that stays behind keeps its workspace from every container until the server is started anew.
"""

from collections.abc import Sequence

import structlog

from hakoiri.host.containers.ports import ClaimRecord, ClaimStore, ContainersError

log = structlog.get_logger(__name__)


class OwedReleases:
    """`ClaimStore` over another, whose `release` never fails: what was not done is done later."""

    def __init__(self, claims: ClaimStore) -> None:
        """Nothing is owed yet."""
        self._claims = claims
        self._owed: set[str] = set()

    async def claim(self, *, container_id: str, workspace_id: str, is_filled: bool = False) -> int:
        """Record the claim, after all that is owed was given back; raises as the store does."""
        await self._give_back()
        return await self._claims.claim(
            container_id=container_id, workspace_id=workspace_id, is_filled=is_filled
        )

    async def fill(self, container_id: str) -> None:
        """Record that the workspace's files are in the container."""
        await self._claims.fill(container_id)

    async def release(self, container_id: str) -> None:
        """Forget the claim now, or later if that fails or is given up."""
        self._owed.add(container_id)
        try:
            await self._give_back()
        except ContainersError as error:
            log.warning("claim_not_released", container=container_id, reason=str(error))

    async def settle(self) -> None:
        """Give back what is owed, if that works now."""
        try:
            await self._give_back()
        except ContainersError as error:
            log.warning("claims_not_released", count=len(self._owed), reason=str(error))

    async def claimed(self) -> Sequence[ClaimRecord]:
        """All live claims, those that are owed not counted."""
        found = await self._claims.claimed()
        return [record for record in found if record.container_id not in self._owed]

    async def _give_back(self) -> None:
        for container_id in list(self._owed):
            await self._claims.release(container_id)
            self._owed.discard(container_id)
