"""Gives each workspace its container: the live one, or a new one, and takes it away again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import structlog

from hakoiri.host.containers.admission_gate import AdmissionGate, AdmissionLimits, Asked, Told
from hakoiri.host.containers.claim_patience import ClaimPatience
from hakoiri.host.containers.claim_start import ClaimStart
from hakoiri.host.containers.gc import GcLimits
from hakoiri.host.containers.holding_still import Still, freeze_if_idle, hold_still
from hakoiri.host.containers.last_save import LastSave, Save
from hakoiri.host.containers.lifecycle import Lifecycle, Prepare
from hakoiri.host.containers.live import TURN, Ask, Live
from hakoiri.host.containers.live_answer import LiveAnswer
from hakoiri.host.containers.live_containers import LiveContainers
from hakoiri.host.containers.model import Claim, ContainerState
from hakoiri.host.containers.new_policy import NewPolicy
from hakoiri.host.containers.owed_releases import OwedReleases
from hakoiri.host.containers.pool_keeper import PoolKeeper
from hakoiri.host.containers.ports import (
    BeingReplacedError,
    ClaimStore,
    ContainersError,
    ProxyControl,
)
from hakoiri.host.containers.rebinding import Rebinding
from hakoiri.host.containers.removal import Removal
from hakoiri.host.containers.saved_removal import Outcome, SavedRemoval
from hakoiri.host.containers.shutdown import close_agents, retire_saved, sweep_all_but
from hakoiri.host.telemetry.admission_metrics import AdmissionMetrics
from hakoiri.host.telemetry.pool_metrics import PoolMetrics, Start
from hakoiri.wire.messages import Runtime
from hakoiri.wire.policy import Policy

log = structlog.get_logger(__name__)


class Orchestrator(LiveContainers):
    """Owns every live container of this server."""

    def __init__(
        self,
        *,
        lifecycle: Lifecycle,
        proxy: ProxyControl,
        claims: ClaimStore,
        pool: PoolKeeper,
        save: Save,
        limits: GcLimits,
        metrics: PoolMetrics,
        admission: AdmissionLimits,
        admission_metrics: AdmissionMetrics,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Keep at most as many containers as `admission` says; `clock` gives monotonic seconds.

        `save` saves what an idle container holds before it goes; `limits` say how old one may get.
        """
        super().__init__()
        self._lifecycle = lifecycle
        self._claims = owed = OwedReleases(claims)
        self._pool = pool
        self._metrics = metrics
        self._clock = clock
        self._start = ClaimStart(
            lifecycle=lifecycle, proxy=proxy, claims=owed, pool=pool, clock=clock
        )
        self._rebinding = Rebinding(proxy=proxy, live=self._live, place=self.place)
        self.admission = AdmissionGate(
            limits=admission, occupancy=self, metrics=admission_metrics, clock=clock
        )
        self._removal = Removal(
            live=self._live,
            lifecycle=lifecycle,
            proxy=proxy,
            claims=owed,
            pool=pool,
            admission=self.admission,
        )
        last_save = LastSave(lifecycle=lifecycle, save=save)
        self.saved_removal = SavedRemoval(self._removal, live=self, last_save=last_save)
        self._live_answer = LiveAnswer(
            lifecycle=lifecycle, removal=self.saved_removal, limits=limits, clock=clock
        )
        self._new_policy = NewPolicy(start=self._start, lifecycle=lifecycle, removal=self._removal)
        limit_s = admission.wait_s
        self._patience = ClaimPatience(
            lifecycle=lifecycle, gate=self.admission, limit_s=limit_s, clock=clock, sleep=sleep
        )

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
        told: Told | None = None,
        resumes: bool = False,
    ) -> Claim:
        """Return the workspace's container, healthy and bound to the policy.

        It is the live one, one that waited warm, or a new one, and in use until each `holder` has
        released it. `prepare` fills the directories of one that is not live; `restores` says
        whether it has anything to write. A new one may have to be waited for: `told` hears where
        in the line, and a turn that `resumes` comes first. What is away is waited for, too. Raises
        `CapacityError`, `PolicyRefusedError`, another `ContainersError`, or what `prepare` raises.
        """
        ask = Ask(workspace_id, tenant, policy, prepare, runtime, restores)
        asked = Asked(tenant, workspace_id, told, resumes=resumes, outlives=holder == TURN)
        return await self._patience.through(lambda: self._claim(ask, asked, holder), asked)

    async def _claim(self, ask: Ask, asked: Asked, holder: str) -> Claim:
        workspace_id = ask.workspace_id
        has_place = False
        try:
            while True:
                began_s = self._clock()
                async with self.place(workspace_id):
                    found = await self._at_hand(ask, holder)
                    if found is None:
                        has_place = has_place or self.admission.take(workspace_id)
                        found = await self._cold(ask) if has_place else None
                    if found is not None:
                        live, start = found
                        live.hold(holder)
                        self._metrics.claimed(start, seconds=self._clock() - began_s)
                        return live.claim(start)
                # not under the workspace's lock, which others need meanwhile
                is_replaced = self._removal.is_replacing(workspace_id)
                has_place = await self.admission.wait(
                    replace(asked, resumes=asked.resumes or is_replaced)
                )
        finally:
            if has_place:
                self.admission.give_back()
            self.admission.let_go(workspace_id)
            self._removal.disinherit(workspace_id)

    def check_room(self, *, workspace_id: str, tenant: str) -> None:
        """Raise `CapacityError` if a claim would be refused now without so much as waiting."""
        if workspace_id not in self._live:
            self.admission.check(tenant)

    async def join(self, workspace_id: str, *, holder: str) -> Claim | None:
        """Use the live container as it is bound now; None if there is none.

        For what must be fast: nothing is asked of agent or proxy. Whoever changes a policy binds
        the live containers anew, and an agent that is gone shows at the first call. One that was
        lost is not there for joining, and not gone either while its files are being saved: what
        is written past it would be overwritten by that. `BeingReplacedError`.
        """
        async with self.place(workspace_id):
            live = self._live.get(workspace_id)
            if live is None:
                return None
            if live.container.state is ContainerState.HALTED:
                if live.holders or live.is_unsaved:
                    raise BeingReplacedError(workspace_id)
                return None
            await self._lifecycle.thaw(live.container)
            live.hold(holder)
            return live.claim("live")

    async def adopt(self, live: Live) -> None:
        """Take over a healthy container, idle, whose claim is recorded; `ContainersError`.

        Or what a lost one left, which nobody may use until it is saved.
        """
        async with self.place(live.workspace_id):
            if live.container.state is not ContainerState.HALTED:
                await self._start.bind(live, live.policy)
                live.container.advance(ContainerState.CLAIMED)
            self._live[live.workspace_id] = live

    async def set_aside(self, workspace_id: str, *, container_id: str) -> None:
        """End a container that holds the only copy of files; the next server saves what it left.

        Its directories and its claim stay. `ContainersError` if the engine does not say that it
        has ended.
        """
        async with self.place(workspace_id):
            live = self.live_in(workspace_id, container_id)
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
        if live is None or holder not in live.holders:
            return  # his container has gone, and he knows nothing of another one
        live.let_go(holder, now_s=self._clock())
        if is_saved is not None:
            live.is_unsaved = not is_saved
        self.admission.changed()

    async def rebind(
        self, *, workspace_id: str, tenant: str, policy: Policy, ends_refused: bool = False
    ) -> None:
        """Let a live container's socket speak under another policy; nothing if none is live.

        One that cannot be bound is ended before the error is raised, since it must not go on under
        the old policy; for `PolicyRefusedError` only if that `ends_refused`.
        """
        async with self.place(workspace_id):
            live = self._live.get(workspace_id)
            if live is not None and live.tenant == tenant:
                await self._new_policy.put(live, policy, ends_refused=ends_refused)

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
        """Remove the workspace's container, if it has one; if one is named, only that.

        If `for_good`, who waits for one waits no more; if it `is_replaced`, its place is kept for
        the workspace's next claim. Raises `WorkspaceInUseError` if `unless_held_by` uses it.
        """
        if for_good:
            self.admission.dismiss(workspace_id)
        async with self.place(workspace_id):
            live = self.live_in(workspace_id, container_id)
            if live is not None:
                live.check_free_of(unless_held_by)
                await self._removal.of(live, reason, is_replaced=is_replaced)

    async def withdraw(self, workspace_id: str, *, reason: str) -> None:
        """Remove the container of a turn that never began in it, unless others need it.

        What an earlier one may have left running in it has its files saved.
        """
        async with self.place(workspace_id):
            live = self._live.get(workspace_id)
            if live is None:
                return
            if live.is_needed_beside(TURN):
                live.let_go(TURN, now_s=self._clock())
            else:
                await self.saved_removal.of_unused(live, reason, holder=TURN, now_s=self._clock())

    async def halt(self, workspace_id: str, *, container_id: str) -> None:
        """End all that runs in a lost container; its directories stay until it is retired.

        Raises `ContainersError` if the engine does not say that it has ended.
        """
        async with self.place(workspace_id):
            live = self.live_in(workspace_id, container_id)
            if live is not None:
                await self._lifecycle.halt(live.container)

    @asynccontextmanager
    async def still(self, workspace_id: str) -> AsyncIterator[Still]:
        """Keep the workspace as it is: an idle container is frozen, and none can be claimed.

        One that is given up is removed when the block is left. Raises `WorkspaceInUseError`.
        """
        async with self.place(workspace_id):
            live = self._live.get(workspace_id)
            async with hold_still(self._lifecycle, live) as still:
                try:
                    yield still
                finally:
                    if still.is_given_up and live is not None:
                        await self._removal.of(live, "the workspace was put back")

    async def why_lost(self, container_id: str) -> str:
        """Say why a container ended, as far as the engine knows."""
        return await self._lifecycle.why_lost(container_id)

    async def retire_if_idle(
        self,
        workspace_id: str,
        reason: str,
        *,
        container_id: str | None = None,
        is_hurried: bool = True,
    ) -> Outcome:
        """Remove the workspace's container if it is idle, once it is saved: `SavedRemoval`."""
        return await self.saved_removal.of_idle(
            workspace_id, reason, container_id=container_id, is_hurried=is_hurried
        )

    async def freeze(self, workspace_id: str, *, container_id: str) -> None:
        """Freeze the workspace's container, if it is idle still. The next claim thaws it."""
        async with self.place(workspace_id):
            await freeze_if_idle(self.live_in(workspace_id, container_id), self._lifecycle)

    async def remove_stray(self, container_id: str) -> None:
        """Remove what was left of a container that nobody owns, and its claim."""
        await self._lifecycle.discard(container_id)
        await self._claims.release(container_id)

    async def settle_claims(self) -> None:
        """Give back the claims of removed containers that could not be given back then."""
        await self._claims.settle()

    async def rebind_lost(self, known: frozenset[str]) -> list[str]:
        """Bind again the sockets that the proxy, newly started, does not know; one step.

        `known` are the containers whose sockets the proxy has. Returns the containers bound again.
        """
        return await self._rebinding.of_lost(known)

    async def sweep(self) -> list[str]:
        """Remove all of our instance that is not live here: what an earlier server left."""
        return await sweep_all_but(
            self._live, warm=self._pool.members(), lifecycle=self._lifecycle, claims=self._claims
        )

    async def leave(self) -> None:
        """Leave every live container as it is, for the next server; remove the warm ones."""
        await self.admission.settle_removals()
        await self._removal.settle()
        await close_agents(self._live)
        self._live.clear()
        await self._pool.drain()

    async def close(self) -> None:
        """Remove every container but those set aside, warm ones too, and what was left earlier."""
        await self.admission.settle_removals()
        await self._removal.settle()
        async with asyncio.TaskGroup() as group:
            group.create_task(retire_saved(self._live, self.retire), name="retire live containers")
            group.create_task(self._pool.drain(), name="drain the warm pool")
        try:
            await self.sweep()
        except ContainersError as error:
            log.warning("not_swept", reason=str(error))

    def live_containers(self) -> int:
        """How many containers are live, warm or starting."""
        return len(self._live) + self.admission.promised + len(self._pool.members())

    def occupied(self) -> int:
        """How many containers there are: live, warm, or being removed."""
        return len(self._live) + self._removal.under_way + len(self._pool.members())

    def spare(self) -> int:
        """How many warm containers could give way."""
        return self._pool.spare()

    async def give_way(self, workspace_id: str | None) -> bool:
        """Remove the workspace's container if it is idle still; without one, a warm one."""
        if workspace_id is None:
            return await self._pool.give_way()
        outcome = await self.retire_if_idle(workspace_id, "its place was needed")
        return outcome is Outcome.REMOVED

    def room(self) -> int:
        """How many more containers there may be that nobody waits for."""
        return self.admission.room()

    async def _at_hand(self, ask: Ask, holder: str) -> tuple[Live, Start] | None:
        """Return the live container, or one that waited warm; None if one has to be started."""
        live = self._live.get(ask.workspace_id)
        if live is not None and await self._live_answer.may_serve(live, ask.runtime, holder):
            await self._start.again(live, ask)
            return live, "live"
        if live is not None:
            ask = replace(ask, restores=True)  # it was saved only now
        live = await self._start.warm(ask)
        if live is None:
            return None
        self._live[ask.workspace_id] = live
        self._pool.settle(live.container.container_id)
        self.admission.is_live(ask.workspace_id)
        return live, "warm"

    async def _cold(self, ask: Ask) -> tuple[Live, Start]:
        """Start a container in a place that is promised."""
        with self._pool.cold_start():
            live = await self._start.cold(ask)
        self._live[ask.workspace_id] = live
        self.admission.is_live(ask.workspace_id)
        return live, "cold"
