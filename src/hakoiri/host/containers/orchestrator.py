"""Gives each workspace its container: the live one, or a new one, and takes it away again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from hakoiri.host.containers.claim_start import ClaimStart
from hakoiri.host.containers.gc import Member, longest_idle
from hakoiri.host.containers.holding_still import Still, hold_still
from hakoiri.host.containers.lifecycle import Lifecycle, Prepare
from hakoiri.host.containers.live import TURN, Ask, Live
from hakoiri.host.containers.model import Claim, ContainerState
from hakoiri.host.containers.places import Place, PlaceGuard
from hakoiri.host.containers.pool_keeper import PoolKeeper
from hakoiri.host.containers.ports import (
    AgentProtocolError,
    AgentUnreachableError,
    BeingReplacedError,
    CapacityError,
    ClaimStore,
    ContainersError,
    EngineError,
    FilesUnsavedError,
    ProxyControl,
)
from hakoiri.host.containers.rebinding import rebind_lost
from hakoiri.host.telemetry.pool_metrics import PoolMetrics, Start
from hakoiri.wire.messages import Runtime
from hakoiri.wire.policy import Policy

log = structlog.get_logger(__name__)


class Orchestrator:
    """Owns every live container of this server."""

    def __init__(
        self,
        *,
        lifecycle: Lifecycle,
        proxy: ProxyControl,
        claims: ClaimStore,
        pool: PoolKeeper,
        metrics: PoolMetrics,
        limit: int,
        clock: Callable[[], float],
    ) -> None:
        """Keep at most `limit` containers; `clock` gives monotonic seconds."""
        self._lifecycle = lifecycle
        self._proxy = proxy
        self._claims = claims
        self._pool = pool
        self._metrics = metrics
        self._limit = limit
        self._clock = clock
        self._start = ClaimStart(
            lifecycle=lifecycle, proxy=proxy, claims=claims, pool=pool, clock=clock
        )
        self._live: dict[str, Live] = {}
        self._places: dict[str, Place] = {}

    async def claim(
        self,
        *,
        workspace_id: str,
        tenant: str,
        policy: Policy,
        prepare: Prepare,
        runtime: Runtime,
        restores: bool,
        holder: str = TURN,
    ) -> Claim:
        """Return the workspace's container, healthy and bound to the policy.

        It is the live one, one that waited warm, or a new one, and in use until each `holder` has
        released it. `prepare` fills the directories of one that is not live; `restores` says
        whether it has anything to write. Raises `CapacityError`, `PolicyRefusedError` or another
        `ContainersError`, or what `prepare` raises.
        """
        began_s = self._clock()
        async with self._place(workspace_id):
            start: Start = "live"
            live = await self._still_fit(workspace_id, runtime, holder)
            if live is not None:
                await self._start.bind(live, policy)
            else:
                live, start = await self._new(
                    Ask(workspace_id, tenant, policy, prepare, runtime, restores)
                )
            live.hold(holder)
            self._metrics.claimed(start, seconds=self._clock() - began_s)
            return live.claim(start)

    async def join(self, workspace_id: str, *, holder: str) -> Claim | None:
        """Use the live container as it is bound now; None if there is none.

        For what must be fast: nothing is asked of agent or proxy. Whoever changes a policy binds
        the live containers anew, and an agent that is gone shows at the first call. One that was
        lost is not there for joining, and not gone either while its files are being saved: what
        is written past it would be overwritten by that. `BeingReplacedError`.
        """
        async with self._place(workspace_id):
            live = self._live.get(workspace_id)
            if live is None:
                return None
            if live.container.state is ContainerState.HALTED:
                if live.holders or live.is_unsaved:
                    raise BeingReplacedError(
                        f"the container of {workspace_id} was lost and is being replaced; try again"
                    )
                return None
            await self._lifecycle.thaw(live.container)
            live.hold(holder)
            return live.claim("live")

    async def adopt(self, live: Live) -> None:
        """Take over a healthy container, idle, whose claim is recorded; `ContainersError`.

        Or what a lost one left, which nobody may use until it is saved.
        """
        async with self._place(live.workspace_id):
            if live.container.state is not ContainerState.HALTED:
                await self._start.bind(live, live.policy)
                live.container.advance(ContainerState.CLAIMED)
            self._live[live.workspace_id] = live

    async def set_aside(self, workspace_id: str) -> None:
        """End a container that holds the only copy of files; the next server saves what it left.

        Its directories and its claim stay. `ContainersError` if the engine does not say that it
        has ended.
        """
        async with self._place(workspace_id):
            live = self._live.get(workspace_id)
            if live is not None:
                live.is_unsaved = True
                await self._lifecycle.thaw(live.container)
                await self._lifecycle.halt(live.container)

    async def release(
        self, workspace_id: str, *, holder: str = TURN, is_saved: bool | None = None
    ) -> None:
        """Say that a holder needs the container no more; without any it is idle from now on.

        `is_saved` says whether the holder has saved its files, or could not; None says nothing of
        it. One whose files are not saved holds the only copy: it gives way to nobody until they
        are.
        """
        live = self._live.get(workspace_id)
        if live is None:
            return
        live.let_go(holder, now_s=self._clock())
        if is_saved is not None:
            live.is_unsaved = not is_saved

    def holders(self, workspace_id: str) -> frozenset[str] | None:
        """Who uses the workspace's live container now; None if none is live."""
        live = self._live.get(workspace_id)
        return None if live is None else frozenset(live.holders)

    async def rebind(self, *, workspace_id: str, tenant: str, policy: Policy) -> None:
        """Let a live container's socket speak under another policy; nothing if none is live."""
        async with self._place(workspace_id):
            live = self._live.get(workspace_id)
            if live is not None and live.tenant == tenant:
                await self._start.bind(live, policy)

    async def retire(self, workspace_id: str, *, reason: str) -> None:
        """Remove the workspace's container, if it has one."""
        async with self._place(workspace_id):
            await self._remove(workspace_id, reason)

    async def halt(self, workspace_id: str) -> None:
        """End all that runs in a lost container; its directories stay until it is retired.

        Raises `ContainersError` if the engine does not say that it has ended.
        """
        async with self._place(workspace_id):
            live = self._live.get(workspace_id)
            if live is not None:
                await self._lifecycle.halt(live.container)

    @asynccontextmanager
    async def still(self, workspace_id: str) -> AsyncIterator[Still]:
        """Keep the workspace as it is: an idle container is frozen, and none can be claimed.

        One that is given up is removed when the block is left. Raises `WorkspaceInUseError`.
        """
        async with (
            self._place(workspace_id),
            hold_still(self._lifecycle, self._live.get(workspace_id)) as still,
        ):
            try:
                yield still
            finally:
                if still.is_given_up:
                    await self._remove(workspace_id, "the workspace was put back")

    async def why_lost(self, container_id: str) -> str:
        """Say why a container ended, as far as the engine knows."""
        return await self._lifecycle.why_lost(container_id)

    async def retire_if_idle(self, workspace_id: str, reason: str) -> bool:
        """Remove an idle container whose files are saved; whether that was done."""
        async with self._place(workspace_id):
            live = self._live.get(workspace_id)
            if live is None or live.idle_since_s is None or live.is_unsaved:
                return False
            await self._remove(workspace_id, reason)
            return True

    async def freeze(self, workspace_id: str) -> None:
        """Freeze the workspace's container, if it is idle still. The next claim thaws it."""
        async with self._place(workspace_id):
            live = self._live.get(workspace_id)
            if live is None or live.idle_since_s is None:
                return
            if live.container.state is not ContainerState.CLAIMED:
                return
            try:
                await self._lifecycle.freeze(live.container)
            except ContainersError as error:
                container_id = live.container.container_id
                log.warning("container_not_frozen", container=container_id, reason=str(error))

    async def remove_stray(self, container_id: str) -> None:
        """Remove what was left of a container that nobody owns, and its claim."""
        await self._lifecycle.discard(container_id)
        await self._claims.release(container_id)

    async def rebind_lost(self, known: frozenset[str]) -> list[str]:
        """Bind again the sockets that the proxy, newly started, does not know; one step.

        `known` are the containers whose sockets the proxy has. Returns the containers bound again.
        """
        return await rebind_lost(self._live, known=known, proxy=self._proxy, place=self._place)

    async def sweep(self) -> list[str]:
        """Remove all of our instance that is not live here: what an earlier server left."""
        live = frozenset(member.container.container_id for member in self._live.values())
        gone = await self._lifecycle.sweep(keep=live | self._pool.members())
        for record in await self._claims.claimed():
            if record.container_id not in live:
                await self._claims.release(record.container_id)
        return gone

    async def leave(self) -> None:
        """Let go of every live container without touching it: the next server adopts them.

        Warm ones, which nobody owns, are removed.
        """
        for live in list(self._live.values()):
            if live.container.agent is not None:
                await live.container.agent.close()
        self._live.clear()
        await self._pool.drain()

    async def close(self) -> None:
        """Remove every container but those set aside, and what earlier removals left.

        Warm ones go too. A few at a time.
        """
        slots = asyncio.Semaphore(8)

        async def one(workspace_id: str) -> None:
            async with slots:
                await self.retire(workspace_id, reason="shutdown")

        async with asyncio.TaskGroup() as group:
            for workspace_id, live in list(self._live.items()):
                if not live.is_unsaved:
                    group.create_task(one(workspace_id), name=f"retire {workspace_id}")
            group.create_task(self._pool.drain(), name="drain the warm pool")
        try:
            await self.sweep()
        except ContainersError as error:
            log.warning("not_swept", reason=str(error))

    def workspace_in(self, container_id: str) -> str | None:
        """Return the workspace that is live in a container; None if none is."""
        for live in self._live.values():
            if live.container.container_id == container_id:
                return live.workspace_id
        return None

    def live_containers(self) -> int:
        """How many containers are live, warm or starting."""
        return len(self._live) + self._start.starting + len(self._pool.members())

    def live_disks(self) -> list[tuple[Path, Path]]:
        """Where workspace and home of every live container are seen on this host."""
        all_directories = [live.container.directories for live in self._live.values()]
        return [(one.workspace, one.home) for one in all_directories]

    def room(self) -> int:
        """How many more containers there may be."""
        return self._limit - self.live_containers()

    def members(self) -> list[Member]:
        """Return the live containers, idle or not."""
        return [live.member for live in self._live.values()]

    def live_in(self, workspace_id: str) -> Live | None:
        """Return the workspace's live container, if it has one."""
        return self._live.get(workspace_id)

    def paused_containers(self) -> int:
        """How many live containers are frozen."""
        return sum(member.is_frozen for member in self.members())

    def _place(self, workspace_id: str) -> PlaceGuard:
        return PlaceGuard(self._places, workspace_id)

    async def _still_fit(self, workspace_id: str, runtime: Runtime, holder: str) -> Live | None:
        """Return the live container, if it answers and runs as is asked for now.

        One that is not idle, or that holds what could not be saved, stays whatever is asked for.
        """
        live = await self._still_healthy(workspace_id, holder)
        if live is None or live.runtime == runtime:
            return live
        if live.idle_since_s is None or live.is_unsaved:
            return live
        await self._remove(workspace_id, f"the conversation runs under {runtime} now")
        return None

    async def _still_healthy(self, workspace_id: str, holder: str) -> Live | None:
        live = self._live.get(workspace_id)
        if live is None:
            return None
        if live.container.state is ContainerState.HALTED and live.holders - {holder}:
            raise BeingReplacedError(
                f"the container of {workspace_id} was lost and is being replaced; try again"
            )
        try:
            if live.container.agent is not None:
                await self._lifecycle.thaw(live.container)
                await live.container.agent.health()
                return live
        except (AgentUnreachableError, AgentProtocolError, EngineError) as error:
            log.info("container_lost", container=live.container.container_id, reason=str(error))
        if live.is_unsaved:
            raise FilesUnsavedError(
                f"the container of {workspace_id} died with files that are not saved; they are "
                "saved first"
            )
        if live.holders - {holder}:
            raise BeingReplacedError(
                f"the container of {workspace_id} does not answer, and is in use; try again"
            )
        await self._remove(workspace_id, "its agent does not answer")
        return None

    async def _new(self, ask: Ask) -> tuple[Live, Start]:
        """Return a container that was not live: a warm one, or one that is started."""
        live = await self._start.warm(ask)
        if live is not None:
            self._live[ask.workspace_id] = live
            self._pool.settle(live.container.container_id)
            return live, "warm"
        with self._pool.cold_start():
            await self._make_room()
            live = await self._start.cold(ask)
        self._live[ask.workspace_id] = live
        return live, "cold"

    async def _make_room(self) -> None:
        """Let a warm container give way where every place is taken, or else the longest idle."""
        while self.live_containers() >= self._limit:
            if await self._pool.give_way():
                continue
            victim = longest_idle(self.members())
            if victim is None:
                raise CapacityError(
                    f"all {self._limit} containers are in use; try again when a turn has ended, "
                    "or raise HAKOIRI_CONTAINER__LIMIT"
                )
            await self.retire_if_idle(victim, "its place was needed")

    async def _remove(self, workspace_id: str, reason: str) -> None:
        live = self._live.pop(workspace_id, None)
        if live is None:
            return
        log.info("container_retired", container=live.container.container_id, reason=reason)
        try:
            await self._lifecycle.stop(live.container)
        finally:
            await self._claims.release(live.container.container_id)
            self._pool.wake()
