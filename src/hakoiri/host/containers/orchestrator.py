"""Gives each workspace its container: the live one, or a new one, and takes it away again."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypedDict

import structlog

from hakoiri.host.containers.gc import IdleMember, longest_idle, overdue
from hakoiri.host.containers.lifecycle import Lifecycle, Prepare, StartedContainer
from hakoiri.host.containers.model import Claim, ContainerState
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
from hakoiri.wire.policy import Policy

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Live:
    """A workspace's live container, and what its socket is bound to."""

    container: StartedContainer
    workspace_id: str
    tenant: str
    generation: int
    policy: Policy
    idle_since_s: float | None = None


@dataclass(slots=True)
class _Place:
    """One workspace's place: its lock orders claims, rebinds and removals."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


def new_container_id() -> str:
    """Return a new random container id; it is also the name of its directories and sockets."""
    return f"c{secrets.token_hex(8)}"


class Orchestrator:
    """Owns every live container of this server."""

    def __init__(
        self,
        *,
        lifecycle: Lifecycle,
        proxy: ProxyControl,
        claims: ClaimStore,
        limit: int,
        idle_timeout_s: float,
        clock: Callable[[], float],
    ) -> None:
        """Keep at most `limit` containers; `clock` gives monotonic seconds."""
        self._lifecycle = lifecycle
        self._proxy = proxy
        self._claims = claims
        self._limit = limit
        self._idle_timeout_s = idle_timeout_s
        self._clock = clock
        self._live: dict[str, _Live] = {}
        self._starting = 0
        self._places: dict[str, _Place] = {}

    async def claim(
        self, *, workspace_id: str, tenant: str, policy: Policy, prepare: Prepare
    ) -> Claim:
        """Return the workspace's container, healthy and bound to the policy, started if need be.

        `prepare` fills the directories of a new container. Raises `CapacityError`,
        `PolicyRefusedError` or another `ContainersError`, or what `prepare` raises.
        """
        async with self._place(workspace_id):
            live = await self._still_healthy(workspace_id)
            if live is not None:
                await self._bind(live, policy)
                live.idle_since_s = None
                return _claim_of(live, "live")
            live = await self._start(workspace_id, tenant, policy, prepare)
            return _claim_of(live, "cold")

    async def release(self, workspace_id: str) -> None:
        """Say that the workspace's turn is over: from now on its container is idle."""
        live = self._live.get(workspace_id)
        if live is not None:
            live.idle_since_s = self._clock()

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
        gone = await self._lifecycle.sweep(keep=live)
        for container_id in await self._claims.claimed():
            if container_id not in live:
                await self._claims.release(container_id)
        return gone

    async def close(self) -> None:
        """Remove every container, a few at a time."""
        slots = asyncio.Semaphore(8)

        async def one(workspace_id: str) -> None:
            async with slots:
                await self.retire(workspace_id, reason="shutdown")

        async with asyncio.TaskGroup() as group:
            for workspace_id in list(self._live):
                group.create_task(one(workspace_id), name=f"retire {workspace_id}")

    def workspace_in(self, container_id: str) -> str | None:
        """Return the workspace that is live in a container; None if none is."""
        for live in self._live.values():
            if live.container.container_id == container_id:
                return live.workspace_id
        return None

    def live_containers(self) -> int:
        """How many containers are live or starting."""
        return len(self._live) + self._starting

    def live_disks(self) -> list[tuple[Path, Path]]:
        """Where workspace and home of every live container are seen on this host."""
        all_directories = [live.container.directories for live in self._live.values()]
        return [(one.workspace, one.home) for one in all_directories]

    def _place(self, workspace_id: str) -> "_PlaceGuard":
        return _PlaceGuard(self._places, workspace_id)

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

    async def _start(
        self, workspace_id: str, tenant: str, policy: Policy, prepare: Prepare
    ) -> _Live:
        await self._make_room()
        container_id = new_container_id()
        self._starting += 1
        try:
            generation = await self._claims.claim(
                container_id=container_id, workspace_id=workspace_id
            )
            container = await self._lifecycle.start(container_id, prepare=prepare)
            live = _Live(container, workspace_id, tenant, generation, policy)
            try:
                await self._bind(live, policy)
            except BaseException:
                await self._lifecycle.stop(container)
                raise
        except BaseException:
            await self._claims.release(container_id)
            raise
        finally:
            self._starting -= 1
        container.advance(ContainerState.CLAIMED)
        self._live[workspace_id] = live
        return live

    async def _make_room(self) -> None:
        """Let the longest idle container give way, where every place is taken."""
        while self.live_containers() >= self._limit:
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


class _PlaceGuard:
    """Holds a workspace's lock, and forgets it when nobody waits for it any more."""

    def __init__(self, places: dict[str, _Place], workspace_id: str) -> None:
        self._places = places
        self._workspace_id = workspace_id

    async def __aenter__(self) -> None:
        place = self._places.setdefault(self._workspace_id, _Place())
        place.waiting += 1
        try:
            await place.lock.acquire()
        except BaseException:
            self._leave(place)
            raise

    async def __aexit__(self, *_: object) -> None:
        place = self._places[self._workspace_id]
        place.lock.release()
        self._leave(place)

    def _leave(self, place: _Place) -> None:
        place.waiting -= 1
        if place.waiting == 0:
            self._places.pop(self._workspace_id, None)


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


def _claim_of(live: _Live, start: Literal["live", "cold"]) -> Claim:
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
