"""Workspaces that may be live on another server, which is asked to give up one that is idle."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from hakoiri.host.containers.admission import LinePlace
from hakoiri.host.containers.holding_still import Still
from hakoiri.host.containers.live import TURN
from hakoiri.host.containers.model import Claim, ContainerDirectories
from hakoiri.host.containers.ports import ClaimConflictError
from hakoiri.host.conversations.point_ports import StillContainers
from hakoiri.host.coordination.ports import Fanout, Topic
from hakoiri.wire.messages import Runtime
from hakoiri.wire.policy import Policy

PATIENCE_S: Final = 10.0
"""For a save that is due, and a container's end."""

POLL_S: Final = 0.1


class SharedContainers:
    """`StillContainers` of a server that has others beside it.

    A workspace that is not live here is first fetched from where it is: `ClaimConflictError` if it
    is in use there, or that server does not answer.
    """

    def __init__(
        self,
        containers: StillContainers,
        *,
        is_elsewhere: Callable[[str], Awaitable[bool]],
        fanout: Fanout,
        let_go_if_lost: Callable[[str], Awaitable[None]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`is_elsewhere` says whether a workspace is live on another server.

        `let_go_if_lost` removes a container that is live here, if another server has taken its
        workspace over.
        """
        self._let_go_if_lost = let_go_if_lost
        self._containers = containers
        self._is_elsewhere = is_elsewhere
        self._fanout = fanout
        self._sleep = sleep

    async def claim(
        self,
        *,
        workspace_id: str,
        tenant: str,
        policy: Policy,
        prepare: Callable[[ContainerDirectories], Awaitable[None]],
        runtime: Runtime,
        restores: bool,
        holder: str = TURN,
        told: Callable[[LinePlace], None] | None = None,
        resumes: bool = False,
    ) -> Claim:
        """Give the workspace a container, fetched from another server if need be."""
        await self._let_go_if_lost(workspace_id)
        if self._containers.holders(workspace_id) is None and await self._fetch(workspace_id):
            restores = True  # whatever there was to restore before, it was saved over there
        return await self._containers.claim(
            workspace_id=workspace_id,
            tenant=tenant,
            policy=policy,
            prepare=prepare,
            runtime=runtime,
            restores=restores,
            holder=holder,
            told=told,
            resumes=resumes,
        )

    def check_room(self, *, workspace_id: str, tenant: str) -> None:
        """Raise `CapacityError` if a claim would be refused here now without so much as waiting."""
        self._containers.check_room(workspace_id=workspace_id, tenant=tenant)

    async def join(self, workspace_id: str, *, holder: str) -> Claim | None:
        """Give the live container; None if none is live on any server."""
        await self._let_go_if_lost(workspace_id)
        claim = await self._containers.join(workspace_id, holder=holder)
        if claim is None and self._containers.holders(workspace_id) is None:
            await self._fetch(workspace_id)
        return claim

    async def rebind(self, *, workspace_id: str, tenant: str, policy: Policy) -> None:
        """Put a workspace that is live here under another policy."""
        await self._containers.rebind(workspace_id=workspace_id, tenant=tenant, policy=policy)

    async def retire(
        self,
        workspace_id: str,
        *,
        reason: str,
        container_id: str | None = None,
        unless_held_by: str | None = None,
        for_good: bool = False,
        is_replaced: bool = False,
    ) -> None:
        """Remove the container if it is here; else ask for that, if it is idle elsewhere."""
        if container_id is None and self._containers.holders(workspace_id) is None:
            self._fanout.announce(Topic.HAND_OVER, workspace_id)
        await self._containers.retire(
            workspace_id,
            reason=reason,
            container_id=container_id,
            unless_held_by=unless_held_by,
            for_good=for_good,
            is_replaced=is_replaced,
        )

    async def withdraw(self, workspace_id: str, *, reason: str) -> None:
        """Remove the container if it is here and nobody else needs it."""
        await self._containers.withdraw(workspace_id, reason=reason)

    async def release(
        self, workspace_id: str, *, holder: str = TURN, is_saved: bool | None = None
    ) -> None:
        """Say that the holder is done."""
        await self._containers.release(workspace_id, holder=holder, is_saved=is_saved)

    def holders(self, workspace_id: str) -> frozenset[str] | None:
        """Say who uses the container here now; None if it is not live here."""
        return self._containers.holders(workspace_id)

    async def halt(self, workspace_id: str, *, container_id: str) -> None:
        """End all that runs in a lost container, which is here."""
        await self._containers.halt(workspace_id, container_id=container_id)

    @asynccontextmanager
    async def still(self, workspace_id: str) -> AsyncIterator[Still]:
        """Keep the workspace as it is, once no other server has it; `WorkspaceInUseError`."""
        await self._let_go_if_lost(workspace_id)
        if self._containers.holders(workspace_id) is None:
            await self._fetch(workspace_id)
        async with self._containers.still(workspace_id) as still:
            yield still

    async def why_lost(self, container_id: str) -> str:
        """Say why a container ended."""
        return await self._containers.why_lost(container_id)

    async def _fetch(self, workspace_id: str) -> bool:
        """Have the workspace given up where it is; whether it was on another server."""
        if not await self._is_elsewhere(workspace_id):
            return False
        self._fanout.announce(Topic.HAND_OVER, workspace_id)
        for _ in range(int(PATIENCE_S / POLL_S)):
            await self._sleep(POLL_S)
            if not await self._is_elsewhere(workspace_id):
                return True
        raise ClaimConflictError(f"workspace {workspace_id} is in use on another server")
