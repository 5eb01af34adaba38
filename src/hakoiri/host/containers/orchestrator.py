"""Gives each workspace its container: the live one, or a new one, and takes it away again."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypedDict

import structlog

from hakoiri.host.containers.gc import IdleMember, longest_idle, overdue
from hakoiri.host.containers.lifecycle import Lifecycle, Prepare, StartedContainer
from hakoiri.host.containers.model import Claim, ContainerState, new_container_id
from hakoiri.host.containers.places import Place, PlaceGuard
from hakoiri.host.containers.pool_keeper import PoolKeeper, WarmContainer
from hakoiri.host.containers.ports import (
    AgentProtocolError,
    AgentUnreachableError,
    CapacityError,
    ClaimStore,
    ContainersError,
    PolicyRefusedError,
    ProxyControl,
    ProxyControlError,
)
from hakoiri.host.telemetry.pool_metrics import PoolMetrics, Start
from hakoiri.wire.messages import Runtime
from hakoiri.wire.policy import Policy

log = structlog.get_logger(__name__)


TURN: Final = "turn"
"""Holds a container for the workspace's turn, of which there is one at a time."""


@dataclass(slots=True)
class _Live:
    """A workspace's live container, and what its socket is bound to."""

    container: StartedContainer
    workspace_id: str
    tenant: str
    generation: int
    policy: Policy
    runtime: Runtime
    holders: set[str] = field(default_factory=set)
    """Who uses it now: a turn, commands, a save that is due. It idles when there is none."""

    idle_since_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Ask:
    """What a claim asks for."""

    workspace_id: str
    tenant: str
    policy: Policy
    prepare: Prepare
    runtime: Runtime
    restores: bool


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
        idle_timeout_s: float,
        clock: Callable[[], float],
    ) -> None:
        """Keep at most `limit` containers; `clock` gives monotonic seconds."""
        self._lifecycle = lifecycle
        self._proxy = proxy
        self._claims = claims
        self._pool = pool
        self._metrics = metrics
        self._limit = limit
        self._idle_timeout_s = idle_timeout_s
        self._clock = clock
        self._live: dict[str, _Live] = {}
        self._starting = 0
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
            live = await self._still_fit(workspace_id, runtime)
            if live is not None:
                await self._bind(live, policy)
            else:
                live, start = await self._start(
                    _Ask(workspace_id, tenant, policy, prepare, runtime, restores)
                )
            _hold(live, holder)
            self._metrics.claimed(start, seconds=self._clock() - began_s)
            return _claim_of(live, start)

    async def join(self, workspace_id: str, *, holder: str) -> Claim | None:
        """Use the live container as it is bound now; None if there is none.

        For what must be fast: nothing is asked of agent or proxy. Whoever changes a policy binds
        the live containers anew, and an agent that is gone shows at the first call.
        """
        async with self._place(workspace_id):
            live = self._live.get(workspace_id)
            if live is None:
                return None
            _hold(live, holder)
            return _claim_of(live, "live")

    async def release(self, workspace_id: str, *, holder: str = TURN) -> None:
        """Say that a holder needs the container no more; without any it is idle from now on."""
        live = self._live.get(workspace_id)
        if live is not None:
            live.holders.discard(holder)
            if not live.holders:
                live.idle_since_s = self._clock()

    def holders(self, workspace_id: str) -> frozenset[str] | None:
        """Who uses the workspace's live container now; None if none is live."""
        live = self._live.get(workspace_id)
        return None if live is None else frozenset(live.holders)

    async def rebind(self, *, workspace_id: str, tenant: str, policy: Policy) -> None:
        """Let a live container's socket speak under another policy; nothing if none is live."""
        async with self._place(workspace_id):
            live = self._live.get(workspace_id)
            if live is not None and live.tenant == tenant:
                await self._bind(live, policy)

    async def retire(self, workspace_id: str, *, reason: str) -> None:
        """Remove the workspace's container, if it has one."""
        async with self._place(workspace_id):
            await self._remove(workspace_id, reason)

    async def why_lost(self, container_id: str) -> str:
        """Say why a container ended, as far as the engine knows."""
        return await self._lifecycle.why_lost(container_id)

    async def retire_idle(self) -> list[str]:
        """Remove the containers that have been idle too long: one step of the collector."""
        due = overdue(self._members(), now_s=self._clock(), idle_timeout_s=self._idle_timeout_s)
        for workspace_id in due:
            await self._retire_if_idle(workspace_id, "idle")
        return due

    async def rebind_lost(self, known: frozenset[str]) -> list[str]:
        """Bind again the sockets that the proxy, newly started, does not know; one step.

        `known` are the containers whose sockets the proxy has. Returns the containers bound again.
        All are bound at once, and one that cannot be holds up no other.
        """
        again: list[str] = []
        lost = [one for one in self._live.values() if one.container.container_id not in known]
        async with asyncio.TaskGroup() as group:
            for live in lost:
                name = f"bind again {live.container.container_id}"
                group.create_task(self._bind_again(live, again), name=name)
        return again

    async def _bind_again(self, live: _Live, again: list[str]) -> None:
        container_id = live.container.container_id
        async with self._place(live.workspace_id):
            if self._live.get(live.workspace_id) is not live:
                return
            try:
                await self._proxy.open_bound(container_id, **_speaks_for(live, live.policy))
            except ProxyControlError as error:
                log.warning("container_not_bound", container=container_id, reason=str(error))
            else:
                again.append(container_id)

    async def sweep(self) -> list[str]:
        """Remove all of our instance that is not live here: what an earlier server left."""
        live = frozenset(member.container.container_id for member in self._live.values())
        gone = await self._lifecycle.sweep(keep=live | self._pool.members())
        for container_id in await self._claims.claimed():
            if container_id not in live:
                await self._claims.release(container_id)
        return gone

    async def close(self) -> None:
        """Remove every container, the warm ones too, a few at a time."""
        slots = asyncio.Semaphore(8)

        async def one(workspace_id: str) -> None:
            async with slots:
                await self.retire(workspace_id, reason="shutdown")

        async with asyncio.TaskGroup() as group:
            for workspace_id in list(self._live):
                group.create_task(one(workspace_id), name=f"retire {workspace_id}")
            group.create_task(self._pool.drain(), name="drain the warm pool")

    def workspace_in(self, container_id: str) -> str | None:
        """Return the workspace that is live in a container; None if none is."""
        for live in self._live.values():
            if live.container.container_id == container_id:
                return live.workspace_id
        return None

    def live_containers(self) -> int:
        """How many containers are live, warm or starting."""
        return len(self._live) + self._starting + len(self._pool.members())

    def live_disks(self) -> list[tuple[Path, Path]]:
        """Where workspace and home of every live container are seen on this host."""
        all_directories = [live.container.directories for live in self._live.values()]
        return [(one.workspace, one.home) for one in all_directories]

    def room(self) -> int:
        """How many more containers there may be."""
        return self._limit - self.live_containers()

    def _place(self, workspace_id: str) -> PlaceGuard:
        return PlaceGuard(self._places, workspace_id)

    def _members(self) -> list[IdleMember]:
        return [IdleMember(live.workspace_id, live.idle_since_s) for live in self._live.values()]

    async def _still_healthy(self, workspace_id: str) -> _Live | None:
        live = self._live.get(workspace_id)
        if live is None:
            return None
        try:
            if live.container.agent is not None:
                await live.container.agent.health()
                return live
        except (AgentUnreachableError, AgentProtocolError) as error:
            log.info("container_lost", container=live.container.container_id, reason=str(error))
        await self._remove(workspace_id, "its agent does not answer")
        return None

    async def _still_fit(self, workspace_id: str, runtime: Runtime) -> _Live | None:
        """Return the live container, if it answers and runs as is asked for now.

        One that is not idle holds what could not be saved: it stays, whatever is asked for.
        """
        live = await self._still_healthy(workspace_id)
        if live is None or live.runtime == runtime or live.idle_since_s is None:
            return live
        await self._remove(workspace_id, f"the conversation runs under {runtime} now")
        return None

    async def _start(self, ask: _Ask) -> tuple[_Live, Start]:
        warm = await self._pool.take(ask.runtime, connected=not ask.restores)
        if warm is not None:
            try:
                return await self._claim_warm(warm, ask), "warm"
            except (AgentUnreachableError, AgentProtocolError) as error:
                log.warning("warm_container_lost", reason=str(error))
        with self._pool.cold_start():
            return await self._start_cold(ask), "cold"

    async def _claim_warm(self, warm: WarmContainer, ask: _Ask) -> _Live:
        """Record the claim, fill the directories and bind the socket; the engine is not called."""
        container = warm.container
        container_id = container.container_id
        try:
            generation = await self._claims.claim(
                container_id=container_id, workspace_id=ask.workspace_id
            )
            if ask.restores:
                if warm.is_connected and container.agent is not None:
                    await container.agent.disconnect()
                await ask.prepare(container.directories)
            live = _live_of(container, ask, generation)
            await self._bind(live, ask.policy)
        except BaseException:
            await self._pool.remove(container_id)
            await self._claims.release(container_id)
            raise
        container.advance(ContainerState.CLAIMED)
        self._live[ask.workspace_id] = live
        self._pool.settle(container_id)
        return live

    async def _start_cold(self, ask: _Ask) -> _Live:
        await self._make_room()
        container_id = new_container_id()
        self._starting += 1
        try:
            generation = await self._claims.claim(
                container_id=container_id, workspace_id=ask.workspace_id
            )
            container = await self._lifecycle.start(
                container_id, prepare=ask.prepare, runtime=ask.runtime
            )
            live = _live_of(container, ask, generation)
            try:
                await self._bind(live, ask.policy)
            except BaseException:
                await self._lifecycle.stop(container)
                raise
        except BaseException:
            await self._claims.release(container_id)
            raise
        finally:
            self._starting -= 1
        container.advance(ContainerState.CLAIMED)
        self._live[ask.workspace_id] = live
        return live

    async def _make_room(self) -> None:
        """Let a warm container give way where every place is taken, or else the longest idle."""
        while self.live_containers() >= self._limit:
            if await self._pool.give_way():
                continue
            victim = longest_idle(self._members())
            if victim is None:
                raise CapacityError(
                    f"all {self._limit} containers are in use; try again when a turn has ended, "
                    "or raise HAKOIRI_CONTAINER__LIMIT"
                )
            await self._retire_if_idle(victim, "its place was needed")

    async def _retire_if_idle(self, workspace_id: str, reason: str) -> None:
        async with self._place(workspace_id):
            live = self._live.get(workspace_id)
            if live is not None and live.idle_since_s is not None:
                await self._remove(workspace_id, reason)

    async def _bind(self, live: _Live, policy: Policy) -> None:
        """Bind the container's socket; a newly started proxy is given the socket again first."""
        speaks_for = _speaks_for(live, policy)
        container_id = live.container.container_id
        try:
            await self._proxy.bind(container_id, **speaks_for)
        except PolicyRefusedError:
            raise
        except ProxyControlError:
            await self._proxy.open_bound(container_id, **speaks_for)
        live.policy = policy

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


class _SpeaksFor(TypedDict):
    """Whom a socket speaks for, as the proxy is told."""

    workspace_id: str
    tenant: str
    generation: int
    policy: Policy


def _speaks_for(live: _Live, policy: Policy) -> _SpeaksFor:
    return _SpeaksFor(
        workspace_id=live.workspace_id,
        tenant=live.tenant,
        generation=live.generation,
        policy=policy,
    )


def _live_of(container: StartedContainer, ask: _Ask, generation: int) -> _Live:
    return _Live(container, ask.workspace_id, ask.tenant, generation, ask.policy, ask.runtime)


def _hold(live: _Live, holder: str) -> None:
    live.holders.add(holder)
    live.idle_since_s = None


def _claim_of(live: _Live, start: Start) -> Claim:
    if live.container.agent is None:
        raise ContainersError("a claimed container has no agent connection")
    return Claim(
        container_id=live.container.container_id,
        workspace_id=live.workspace_id,
        generation=live.generation,
        start=start,
        agent=live.container.agent,
        directories=live.container.directories,
    )
