"""The garbage collector: freezes what idles, removes what is not needed, one step at a time.

What goes and what is frozen is decided in `gc`. A container is saved before it goes, and kept as
long as that fails. A step begins what is to be done and waits for none of it: an engine or a store
that hangs for one container holds up no other.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol

import structlog

from hakoiri.host.containers.gc import Due, GcLimits, Member, Reason, due, strays, to_freeze
from hakoiri.host.containers.lifecycle import Lifecycle
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.ports import ChatSockets, ContainersError
from hakoiri.host.containers.saved_removal import Outcome

STEP_EVERY_S: Final = 5.0
LOOK_EVERY_STEPS: Final = 6
"""Engine, guard and proxy are asked what there is in every so many steps only."""

STRAYS_AT_ONCE: Final = 20
"""Begun to be removed in one step at most."""

AT_ONCE: Final = 8
"""So many containers are saved and removed at a time, and so many frozen; each step of either is
limited in time."""

log = structlog.get_logger(__name__)

Sleep = Callable[[float], Awaitable[None]]
Work = Callable[[], Awaitable[None]]


class Tell(Protocol):
    """Counts what the collector does."""

    def removed(self, reason: str) -> None:
        """A container was removed."""

    def kept_unsaved(self) -> None:
        """One was kept that should go, because its files could not be saved."""

    def collecting_failed(self) -> None:
        """A round was given up; what it left is done in a later one."""


class Collector:
    """One collector a server."""

    def __init__(
        self,
        *,
        orchestrator: Orchestrator,
        lifecycle: Lifecycle,
        chats: ChatSockets,
        tell: Tell,
        limits: GcLimits,
        clock: Callable[[], float],
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`clock` is the orchestrator's."""
        self._orchestrator = orchestrator
        self._lifecycle = lifecycle
        self._chats = chats
        self._tell = tell
        self._limits = limits
        self._clock = clock
        self._sleep = sleep
        self._first_seen: dict[str, float] = {}
        self._under_way: set[str] = set()
        self._freezes = asyncio.Semaphore(AT_ONCE)
        self._removals = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Collect until cancelled."""
        steps = 0
        async with asyncio.TaskGroup() as group:
            while True:
                await self._sleep(STEP_EVERY_S)
                steps += 1
                self.step(group, looks=steps % LOOK_EVERY_STEPS == 0)

    def step(self, group: asyncio.TaskGroup, *, looks: bool) -> None:
        """Begin one round in `group`; if it `looks`, dead and stray containers are found too.

        What fails is counted, and done in a later step.
        """
        members = self._orchestrator.members()
        for member in to_freeze(members, now_s=self._clock(), limits=self._limits):
            self._begin(group, f"freeze {member.container_id}", partial(self._freeze, member))
        for one in due(members, running=None, now_s=self._clock(), limits=self._limits):
            self._begin_removal(group, one)
        self._begin(group, "give claims back", self._orchestrator.settle_claims)
        if looks:
            self._begin(group, "look for the dead", partial(self._look_for_dead, group))
            self._begin(group, "look for chats", self._close_chats)
            self._begin(group, "look for strays", partial(self._look_for_strays, group))

    def _begin(self, group: asyncio.TaskGroup, what: str, work: Work) -> None:
        """Begin a piece of work, unless it is under way from an earlier step."""
        if what in self._under_way:
            return
        self._under_way.add(what)
        group.create_task(self._to_its_end(what, work), name=f"collector: {what}")

    async def _to_its_end(self, what: str, work: Work) -> None:
        try:
            await work()
        except ContainersError as error:  # also the database's
            self._tell.collecting_failed()
            log.warning("collecting_failed", step=what, reason=str(error))
        finally:
            self._under_way.discard(what)

    async def _freeze(self, member: Member) -> None:
        async with self._freezes:
            await self._orchestrator.freeze(member.workspace_id, container_id=member.container_id)

    def _begin_removal(self, group: asyncio.TaskGroup, one: Due) -> None:
        self._begin(group, f"remove {one.member.container_id}", partial(self._remove, one))

    async def _look_for_dead(self, group: asyncio.TaskGroup) -> None:
        running = await self._running()
        members = self._orchestrator.members()
        for one in due(members, running=running, now_s=self._clock(), limits=self._limits):
            if one.reason is Reason.DEAD:  # the step sees to the others
                self._begin_removal(group, one)

    async def _running(self) -> frozenset[str]:
        """Return the live containers that run, as far as the engine knows.

        One that became live while the engine was asked is not in its answer, and runs all the same.
        """
        before = self._live_ids()
        running = frozenset(await self._lifecycle.running())
        return running | (self._live_ids() - before)

    def _live_ids(self) -> frozenset[str]:
        return frozenset(member.container_id for member in self._orchestrator.members())

    async def _remove(self, one: Due) -> None:
        member = one.member
        async with self._removals:
            outcome = await self._orchestrator.retire_if_idle(
                member.workspace_id,
                one.reason,
                container_id=member.container_id,
                is_hurried=False,
            )
        if outcome is Outcome.REMOVED:
            self._tell.removed(one.reason)
        elif outcome is Outcome.UNSAVED:
            self._tell.kept_unsaved()
            log.warning(
                "container_kept",
                workspace=member.workspace_id,
                container=member.container_id,
                reason="its files are not saved",
            )

    async def _close_chats(self) -> None:
        for _ in range(await self._chats.close_left_over()):
            log.warning("stray_chat_socket")
            self._tell.removed(Reason.STRAY)

    async def _look_for_strays(self, group: asyncio.TaskGroup) -> None:
        found, self._first_seen = strays(
            await self._lifecycle.present(),
            owned=self._lifecycle.in_hand(),
            left_over=self._lifecycle.left_over(),
            first_seen=self._first_seen,
            now_s=self._clock(),
            limits=self._limits,
        )
        for container_id in found[:STRAYS_AT_ONCE]:
            self._begin(group, f"remove {container_id}", partial(self._remove_stray, container_id))

    async def _remove_stray(self, container_id: str) -> None:
        async with self._removals:
            log.warning("stray_container", container=container_id)
            await self._orchestrator.remove_stray(container_id)
        self._tell.removed(Reason.STRAY)
