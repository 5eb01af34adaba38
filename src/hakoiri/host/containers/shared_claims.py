"""Claims in a database that several servers share: each sees its own, and can ask about others."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from hakoiri.host.containers.model import is_of, mark_of
from hakoiri.host.containers.ports import ClaimRecord, ClaimStore


class SharedClaims:
    """`ClaimStore` of one instance. What another server has, this one neither adopts nor clears."""

    def __init__(self, claims: ClaimStore, *, instance: str) -> None:
        """`claims` are those of all servers."""
        self._claims = claims
        self._instance = instance

    async def claim(self, *, container_id: str, workspace_id: str, is_filled: bool = False) -> int:
        """Record the claim; return the new generation. `ClaimConflictError` if any server has it.

        That the row can be there once is what keeps a workspace from being live twice.
        """
        return await self._claims.claim(
            container_id=container_id, workspace_id=workspace_id, is_filled=is_filled
        )

    async def fill(self, container_id: str) -> None:
        """Record that the workspace's files are in the container."""
        await self._claims.fill(container_id)

    async def release(self, container_id: str) -> None:
        """Forget the claim; nothing happens if there is none."""
        await self._claims.release(container_id)

    async def claimed(self) -> Sequence[ClaimRecord]:
        """All live claims of this server."""
        return [record for record in await self._claims.claimed() if self._is_ours(record)]

    async def is_elsewhere(self, workspace_id: str) -> bool:
        """Whether the workspace is live on another server."""
        return any(
            record.workspace_id == workspace_id and not self._is_ours(record)
            for record in await self._claims.claimed()
        )

    async def others(self) -> Mapping[str, Sequence[ClaimRecord]]:
        """All claims of other servers, by the marks of these."""
        found: dict[str, list[ClaimRecord]] = defaultdict(list)
        for record in await self._claims.claimed():
            if not self._is_ours(record):
                found[mark_of(record.container_id)].append(record)
        return found

    def _is_ours(self, record: ClaimRecord) -> bool:
        return is_of(record.container_id, self._instance)
