"""Keeps the warm pool: carries out what `warm_pool` decides, and hands its containers out.

What is decided and what is noted down happens without a pause in between, so that no two callers
get the same container. Work on the engine is done by tasks of the keeper, never by who claims.
"""

import asyncio
import math
import random
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import structlog

from hakoiri.host.containers.lifecycle import Lifecycle, StartedContainer
from hakoiri.host.containers.pool_report import NO_POOL, report_of
from hakoiri.host.containers.pool_work import PoolWork, is_well
from hakoiri.host.containers.warm_pool import (
    NEVER_FAILED,
    Look,
    Member,
    MemberState,
    Pool,
    Refill,
    Retire,
    Shape,
    Start,
    Wanted,
    after_failure,
    choose,
    decide,
    first_to_give_way,
)
from hakoiri.host.telemetry.pool_metrics import PoolMetrics
from hakoiri.wire.agent import AgentOptions
from hakoiri.wire.messages import Runtime
from hakoiri.wire.pool import PoolConfiguration, PoolRuntimeReport

PROBE_TRIES: Final = 3
"""So many members may fail before a claim starts cold: not every one that hangs is waited for."""

DRAIN_AT_ONCE: Final = 8

log = structlog.get_logger(__name__)

Spawn = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]


@dataclass(slots=True)
class _Kept:
    """A member with what belongs to it: its container once it is healthy, and the task at work."""

    member: Member
    container: StartedContainer | None = None
    task: asyncio.Task[None] | None = None
    is_going: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class WarmContainer:
    """A healthy container that nobody had; `is_connected` if the agent's own process was begun."""

    container: StartedContainer
    is_connected: bool


class PoolKeeper:
    """The warm containers of one server. `run` works until cancelled; `drain` ends it."""

    def __init__(
        self,
        *,
        lifecycle: Lifecycle,
        shapes: Mapping[Runtime, Shape],
        configuration: PoolConfiguration,
        connect_options: AgentOptions,
        metrics: PoolMetrics,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`shapes` are those that this server can make now; `clock` gives monotonic seconds."""
        self._work = PoolWork(lifecycle=lifecycle, connect_options=connect_options)
        self._shapes = shapes
        self._configuration = configuration
        self._metrics = metrics
        self._clock = clock
        self._jitter = jitter
        self._kept: dict[str, _Kept] = {}
        self._refills: dict[Shape, Refill] = {}
        self._cold_starts = 0
        self._claimed_at_s = -math.inf
        self._drained = False
        self._changed = asyncio.Event()
        metrics.watch(self.sizes)

    @property
    def configuration(self) -> PoolConfiguration:
        """What the pool is set to."""
        return self._configuration

    @property
    def runtimes(self) -> tuple[Runtime, ...]:
        """The runtimes of which there may be warm containers."""
        return tuple(self._shapes)

    def configure(self, configuration: PoolConfiguration) -> None:
        """Set the pool anew; it follows at once, and forgets earlier failures."""
        self._configuration = configuration
        self._refills.clear()
        self._changed.set()

    async def run(
        self, *, room: Callable[[], int], is_short: Callable[[], bool] = lambda: False
    ) -> None:
        """Keep the pool until cancelled; `room` tells how many more containers there may be.

        While memory `is_short` none waits warm.
        """
        async with asyncio.TaskGroup() as group:

            def spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
                return group.create_task(work, name=name)

            while True:
                self._changed.clear()
                await self._wait_until(self.step(spawn, room=room(), is_short=is_short()))

    def step(self, spawn: Spawn, *, room: int, is_short: bool = False) -> float:
        """Begin what is to be done now; return when to look again (`inf`: when told)."""
        if self._drained:
            return math.inf
        members = [kept.member for kept in self._kept.values()]
        pool = Pool(
            members,
            room=room,
            is_short=is_short,
            cold_starts=self._cold_starts,
            claimed_at_s=self._claimed_at_s,
            refills=self._refills,
        )
        plan = decide(pool, self._wanted(), now_s=self._clock())
        for retire in plan.retirements:
            self._doom(retire)
        for start in plan.starts:
            self._begin(start, spawn)
        for look in plan.looks:
            self._begin_look(look, spawn)
        for container_id, kept in self._kept.items():
            if kept.member.state is MemberState.RETIRING and not (kept.task or kept.is_going):
                kept.task = spawn(self._remove(kept), f"retire warm {container_id}")
        return plan.wake_at_s

    async def take(self, runtime: Runtime, *, connected: bool) -> WarmContainer | None:
        """Return a container that has just answered, None if the pool has none of this shape.

        `connected` says which kind is of more use. From now on the container is the caller's, who
        must call `settle` once it is noted elsewhere, or `give_up`.
        """
        shape = self._shapes.get(runtime)
        if shape is None or self._drained:
            return None
        for _ in range(PROBE_TRIES):
            members = [kept.member for kept in self._kept.values()]
            chosen = choose(
                members,
                shape,
                max_age_s=self._configuration.max_age_s,
                connected=connected,
                now_s=self._clock(),
            )
            if chosen is None:
                break
            taken = await self._probed(chosen)
            if taken is not None:
                return taken
        size = self._configuration.runtimes.get(runtime)
        if size is not None and size.target > 0:
            self._metrics.exhausted(runtime)
        return None

    def settle(self, container_id: str) -> None:
        """Say that a taken container is noted elsewhere now."""
        self._kept.pop(container_id, None)
        self._changed.set()

    def give_up(self, container_id: str, reason: str) -> None:
        """Have a taken container removed that could not be used after all; its taker goes on."""
        if container_id in self._kept:
            self._doom(Retire(container_id, reason))

    @contextmanager
    def cold_start(self) -> Iterator[None]:
        """Hold refills back while somebody waits for a container that is started for him."""
        self._cold_starts += 1
        try:
            yield
        finally:
            self._cold_starts -= 1
            self._changed.set()

    async def give_way(self) -> bool:
        """Free one place of the server's limit; False if the pool takes none."""
        chosen = first_to_give_way([kept.member for kept in self._kept.values()])
        if chosen is None:
            return False
        kept = self._kept[chosen.container_id]
        if kept.task is not None:
            if chosen.state is MemberState.STARTING:
                kept.task.cancel()
            await asyncio.wait([kept.task])
        if self._kept.get(chosen.container_id) is kept:
            log.info("warm_container_retired", container=chosen.container_id, reason="gave way")
            kept.member = replace(kept.member, state=MemberState.RETIRING)
            await self._remove(kept)
        return True

    def wake(self) -> None:
        """Say that something changed outside: a container went, and there is room."""
        self._changed.set()

    def spare(self) -> int:
        """How many containers `give_way` could free the places of."""
        return sum(kept.member.state is not MemberState.LEAVING for kept in self._kept.values())

    def members(self) -> frozenset[str]:
        """All containers that are the pool's, in whatever state; no collector may touch them."""
        return frozenset(self._kept)

    def sizes(self) -> dict[tuple[str, str], int]:
        """How many containers there are of each runtime in each state."""
        counts: dict[tuple[str, str], int] = {
            (runtime, state): 0 for runtime in self._shapes for state in MemberState
        }
        for kept in self._kept.values():
            counts[kept.member.shape.runtime, kept.member.state] += 1
        return counts

    def report(self) -> dict[Runtime, PoolRuntimeReport]:
        """Tell how each runtime's pool fares."""
        members = [kept.member for kept in self._kept.values()]
        return {
            runtime: report_of(
                [member for member in members if member.shape == shape],
                size=self._configuration.runtimes.get(runtime, NO_POOL),
                failures=self._refills.get(shape, NEVER_FAILED).failures,
            )
            for runtime, shape in self._shapes.items()
        }

    async def drain(self) -> None:
        """Remove every container of the pool; it starts no more. `run` must have ended."""
        self._drained = True
        slots = asyncio.Semaphore(DRAIN_AT_ONCE)

        async def one(kept: _Kept) -> None:
            async with slots:
                await self._remove(kept)

        async with asyncio.TaskGroup() as group:
            for container_id, kept in self._kept.items():
                group.create_task(one(kept), name=f"drain {container_id}")

    def _wanted(self) -> Wanted:
        configuration = self._configuration
        return Wanted(
            sizes={
                self._shapes[runtime]: size
                for runtime, size in configuration.runtimes.items()
                if runtime in self._shapes
            },
            max_age_s=configuration.max_age_s,
            refills_at_once=configuration.refills_at_once,
            connects=configuration.preconnect,
        )

    async def _wait_until(self, wake_at_s: float) -> None:
        wait_s = None if math.isinf(wake_at_s) else max(0.0, wake_at_s - self._clock())
        try:
            async with asyncio.timeout(wait_s):
                await self._changed.wait()
        except TimeoutError:
            return

    def _begin(self, start: Start, spawn: Spawn) -> None:
        container_id = self._work.new_container_id()
        member = Member(
            container_id,
            start.shape,
            MemberState.STARTING,
            connects=self._configuration.preconnect,
        )
        kept = _Kept(member)
        self._kept[container_id] = kept
        kept.task = spawn(self._start(kept), f"start warm {container_id}")

    async def _start(self, kept: _Kept) -> None:
        container_id, shape = kept.member.container_id, kept.member.shape
        try:
            container = await self._work.start(
                container_id, runtime=shape.runtime, connects=kept.member.connects
            )
        except asyncio.CancelledError:
            self._kept.pop(container_id, None)
            raise
        except Exception as error:  # noqa: BLE001 - whatever fails, the pool goes on
            self._kept.pop(container_id, None)
            self._failed(shape, error)
        else:
            now_s = self._clock()
            kept.container, kept.task = container, None
            kept.member = replace(
                kept.member, state=MemberState.READY, ready_at_s=now_s, looked_at_s=now_s
            )
            self._refills.pop(shape, None)
        finally:
            self._changed.set()

    def _failed(self, shape: Shape, error: Exception) -> None:
        refill = after_failure(
            self._refills.get(shape, NEVER_FAILED), now_s=self._clock(), jitter=self._jitter()
        )
        self._refills[shape] = refill
        self._metrics.refill_failed(shape.runtime)
        tell = log.error if refill.is_alarming else log.warning
        tell(
            "warm_pool_refill_failing" if refill.is_alarming else "warm_pool_refill_failed",
            runtime=shape.runtime,
            failures=refill.failures,
            retry_in_s=round(refill.not_before_s - self._clock(), 1),
            reason=str(error)[:500],
        )

    async def _probed(self, chosen: Member) -> WarmContainer | None:
        """Take a member out of everybody else's reach and see whether it answers."""
        kept = self._kept[chosen.container_id]
        kept.member = replace(chosen, state=MemberState.LEAVING)
        container = kept.container
        try:
            if container is not None and await is_well(container):
                self._claimed_at_s = self._clock()
                self._changed.set()
                return WarmContainer(container, is_connected=chosen.connects)
        except BaseException:
            self._doom(Retire(chosen.container_id, "its claim was given up"))
            raise
        self._doom(Retire(chosen.container_id, "its agent does not answer"))
        return None

    def _begin_look(self, look: Look, spawn: Spawn) -> None:
        kept = self._kept[look.container_id]
        kept.member = replace(kept.member, looked_at_s=self._clock())
        spawn(self._look(kept), f"look at warm {look.container_id}")

    async def _look(self, kept: _Kept) -> None:
        container = kept.container
        if container is None or await is_well(container):
            return
        if kept.member.state is MemberState.READY:
            self._doom(Retire(kept.member.container_id, "its agent does not answer"))

    def _doom(self, retire: Retire) -> None:
        """Note that a container is to go; the next step has it removed."""
        kept = self._kept[retire.container_id]
        kept.member = replace(kept.member, state=MemberState.RETIRING)
        log.info("warm_container_retired", container=retire.container_id, reason=retire.reason)
        self._changed.set()

    async def _remove(self, kept: _Kept) -> None:
        """Remove a container once, however many ask; whoever comes second waits for the end.

        If who was first gives up, the second goes on.
        """
        while kept.is_going:
            await kept.gone.wait()
        container_id = kept.member.container_id
        if self._kept.get(container_id) is not kept:
            return
        kept.is_going, kept.gone = True, asyncio.Event()
        container, kept.container = kept.container, None
        try:
            await self._work.remove(container_id, container)
        except Exception:
            log.exception("warm_container_not_removed", container=container_id)
        except BaseException:
            kept.is_going = False
            kept.gone.set()
            raise
        self._kept.pop(container_id, None)
        kept.is_going = False
        kept.gone.set()
        self._changed.set()
