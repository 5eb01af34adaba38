"""Gives out the places that containers may have: at once, or to who waits, in the line's order.

`admission` decides; this carries it out. What is decided and noted happens without a pause between,
so that no two claims get one place. Containers that give way are removed by tasks of the gate's
own: a claim that is given up while it waits leaves at once, and no removal half done.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Literal, Protocol

import structlog

from hakoiri.host.containers.admission import (
    Decision,
    Line,
    LinePlace,
    Pace,
    Places,
    Refusal,
    Waiter,
    decide,
)
from hakoiri.host.containers.admission_refusal import refusal_error
from hakoiri.host.containers.capacity import Level
from hakoiri.host.containers.gc import Member
from hakoiri.host.containers.ports import ContainersError
from hakoiri.host.telemetry.admission_metrics import AdmissionMetrics
from hakoiri.tracing.spans import spanned

log = structlog.get_logger(__name__)

Told = Callable[[LinePlace], None]
"""Is told where a claim stands, whenever that changes; it must not wait."""


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """`slots` containers at once, `queue` claims in the line, `tenant_queue` of one tenant.

    Each waits for `wait_s` at most.
    """

    slots: int
    queue: int
    tenant_queue: int
    wait_s: float


class Occupancy(Protocol):
    """Whoever has the containers."""

    def occupied(self) -> int:
        """How many there are: live, warm, or being removed."""

    def spare(self) -> int:
        """How many warm ones could give way."""

    def members(self) -> Sequence[Member]:
        """The live ones, idle or not."""

    async def give_way(self, workspace_id: str | None) -> bool:
        """Remove the workspace's container if it may go still; without one, a warm one.

        Return whether that was done.
        """


@dataclass(frozen=True, slots=True)
class Asked:
    """What a claim that needs a new container asks the gate.

    `resumes`: its turn had a container before. `outlives`: it is ended by its owner when the server
    stops, not by the gate: a turn may be left for the next server.
    """

    tenant: str
    workspace_id: str
    told: Told | None = None
    resumes: bool = False
    outlives: bool = False


@dataclass(slots=True, eq=False)
class _Ticket:
    """A claim in the line, and how its wait ended."""

    waiter: Waiter
    asked: Asked
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    has_place: bool = False
    failure: ContainersError | None = None
    told: LinePlace | None = None

    def settle(self, *, has_place: bool = False, failure: ContainersError | None = None) -> None:
        self.has_place, self.failure = has_place, failure
        self.settled.set()


class AdmissionGate:
    """One gate a server. `look` is called every second or so: it ends waits that are over."""

    def __init__(
        self,
        *,
        limits: AdmissionLimits,
        occupancy: Occupancy,
        metrics: AdmissionMetrics,
        clock: Callable[[], float],
    ) -> None:
        """`clock` gives monotonic seconds."""
        self._limits = limits
        self._occupancy = occupancy
        self._metrics = metrics
        self._clock = clock
        self._slots = limits.slots
        self._level = Level.CALM
        self._line = Line(limit=limits.queue, tenant_limit=limits.tenant_queue)
        self._tickets: dict[int, _Ticket] = {}
        self._numbers = count(1)
        self._promised = 0
        self._kept: dict[str, float] = {}
        """Places of containers that are being replaced: by workspace, and since when."""

        self._going: dict[asyncio.Task[None], str | None] = {}
        self._stayed: set[str | None] = set()
        """What was to go and did not: it is not asked again before the next look."""

        self._pace = Pace()
        self._is_closed = False
        metrics.watch_line(lambda: len(self._line))

    def set_host(self, *, slots: int, level: Level) -> None:
        """Take note of how many containers the host bears, and how short of memory it is."""
        self._slots = slots
        self._level = level

    @property
    def level(self) -> Level:
        """How short of memory the host is."""
        return self._level

    def taken(self) -> int:
        """How many places are taken, promised or kept."""
        return self._occupancy.occupied() + self._promised + len(self._kept)

    @property
    def promised(self) -> int:
        """How many places are promised: to claims that start a container now."""
        return self._promised

    def room(self) -> int:
        """How many containers may be started that nobody waits for: none while somebody does."""
        if self._line or self._level >= Level.HOLD:
            return 0
        return self._slots - self.taken()

    def free(self) -> int:
        """How many places are free."""
        return max(0, self._slots - self.taken())

    def keep(self, workspace_id: str) -> None:
        """Keep the place of a container that was lost for the one that is to replace it.

        Until it is taken or let go, and no longer than a claim may wait.
        """
        self._kept[workspace_id] = self._clock()

    def hand_down(self, workspace_id: str) -> None:
        """Give the place of a removed container to who waits for its successor, or keep it."""
        for ticket in self._of_workspace(workspace_id)[:1]:
            self._promised += 1
            self._take_out(ticket)
            ticket.settle(has_place=True)
            return
        self.keep(workspace_id)

    def let_go(self, workspace_id: str) -> None:
        """Keep no place for the workspace any more."""
        if self._kept.pop(workspace_id, None) is not None:
            self.changed()

    def take(self, workspace_id: str) -> bool:
        """Take a place at once: its own that was kept, or a free one for which nobody waits.

        It is to be given back (`give_back`) in the end.
        """
        if self._kept.pop(workspace_id, None) is not None:
            self._promised += 1
            return True
        if self._line or self._level >= Level.WAIT or self.taken() >= self._slots:
            return False
        self._promised += 1
        return True

    def give_back(self) -> None:
        """Say that a promise is over: a container has the place now, or none will."""
        self._promised -= 1
        self.changed()

    def check(self, tenant: str) -> None:
        """Raise `CapacityError` if a claim of the tenant would be refused now, without waiting."""
        refusal = self._refusal(tenant)
        if refusal is not None:
            raise self._refuse(refusal, tenant)

    def check_open(self, asked: Asked) -> None:
        """Raise `StoppingError` for a claim that may wait no more, as the server is stopping."""
        if self._is_closed and not asked.outlives:
            raise self._refuse(Refusal.STOPPING, asked.tenant)

    @spanned("queue")
    async def wait(self, asked: Asked) -> bool:
        """Wait for a place, to `give_back` in the end; False if the workspace is live meanwhile.

        Raises `CapacityError`, `StoppingError`, `WorkspaceGoneError`. Who is cancelled leaves.
        """
        self.check_open(asked)
        refusal = None if asked.resumes else self._refusal(asked.tenant)
        if refusal is not None:
            raise self._refuse(refusal, asked.tenant)
        ticket = self._join(asked)
        try:
            await ticket.settled.wait()
        except BaseException:
            self._leave(ticket)
            raise
        self._metrics.waited(self._clock() - ticket.waiter.since_s)
        if ticket.failure is not None:
            raise ticket.failure
        return ticket.has_place

    def changed(self) -> None:
        """Give out what is free now and have made free what can be; called after every change."""
        if not self._line:
            return
        decision = self._decide()
        for _ in range(decision.grants):
            self._grant()
        for workspace_id in (*[None] * decision.warm, *decision.idle):
            self._begin_removal(workspace_id)
        self._tell()

    def look(self) -> None:
        """End the waits that are over, then do what may have become possible."""
        now_s = self._clock()
        self._stayed.clear()
        for workspace_id, since_s in list(self._kept.items()):
            if now_s - since_s >= self._limits.wait_s:
                del self._kept[workspace_id]
        for ticket in list(self._tickets.values()):
            if now_s - ticket.waiter.since_s >= self._limits.wait_s:
                self._fail(ticket, self._refuse(Refusal.WAITED, ticket.asked.tenant))
        self.changed()

    def is_live(self, workspace_id: str) -> None:
        """Say that a workspace has a container: who waits for one for it needs none."""
        if self._tickets:
            for ticket in self._of_workspace(workspace_id):
                self._take_out(ticket)
                ticket.settle()

    def dismiss(self, workspace_id: str) -> None:
        """End all waits for a workspace that was killed or deleted."""
        for ticket in self._of_workspace(workspace_id):
            self._fail(ticket, self._refuse(Refusal.GONE, ticket.asked.tenant))
        self.changed()

    def close(self) -> None:
        """End all waits, but of those who are ended by their owners; the server is stopping."""
        self._is_closed = True
        for ticket in list(self._tickets.values()):
            if not ticket.asked.outlives:
                self._fail(ticket, self._refuse(Refusal.STOPPING, ticket.asked.tenant))

    async def settle_removals(self) -> None:
        """Wait until no container is being removed for a waiter."""
        while self._going:
            await asyncio.wait(list(self._going))

    def _refusal(self, tenant: str) -> Refusal | None:
        if not self._line and self._level < Level.WAIT and self.taken() < self._slots:
            return None
        return None if self._places().can_serve_one_more else self._line.refusal(tenant)

    def _join(self, asked: Asked) -> _Ticket:
        waiter = Waiter(
            next(self._numbers), asked.tenant, asked.workspace_id, self._clock(), asked.resumes
        )
        ticket = self._tickets[waiter.number] = _Ticket(waiter, asked)
        self._line.join(waiter)
        self.changed()
        return ticket

    def _leave(self, ticket: _Ticket) -> None:
        """Take out who was cancelled; a place that it was given just before goes to the next."""
        if ticket.has_place:
            self._promised -= 1
        self._take_out(ticket)
        self.changed()

    def _take_out(self, ticket: _Ticket) -> None:
        self._line.leave(ticket.waiter)
        self._tickets.pop(ticket.waiter.number, None)

    def _fail(self, ticket: _Ticket, failure: ContainersError) -> None:
        self._take_out(ticket)
        ticket.settle(failure=failure)

    def _of_workspace(self, workspace_id: str) -> list[_Ticket]:
        return [one for one in self._tickets.values() if one.waiter.workspace_id == workspace_id]

    def _grant(self) -> None:
        waiter = self._line.take_first()
        self._promised += 1
        self._pace = self._pace.after_place(now_s=self._clock(), others_wait=bool(self._line))
        self._tickets.pop(waiter.number).settle(has_place=True)

    def _places(self) -> Places:
        going = self._going.values()
        return Places(
            slots=self._slots,
            taken=self.taken(),
            waiting=len(self._line),
            spare=0 if None in self._stayed else self._occupancy.spare(),
            members=[
                member
                for member in self._occupancy.members()
                if member.workspace_id not in self._stayed
            ],
            warm_going=sum(one is None for one in going),
            going={one for one in going if one is not None},
            is_held=self._level >= Level.WAIT,
        )

    def _decide(self) -> Decision:
        return Decision() if self._is_closed else decide(self._places())

    def _begin_removal(self, workspace_id: str | None) -> None:
        task = asyncio.get_running_loop().create_task(
            self._remove(workspace_id), name=f"make room: {workspace_id or 'a warm container'}"
        )
        self._going[task] = workspace_id
        task.add_done_callback(self._removed)

    async def _remove(self, workspace_id: str | None) -> None:
        has_gone = False
        try:
            has_gone = await self._occupancy.give_way(workspace_id)
        except Exception:
            log.exception("no_room_made", workspace=workspace_id)
        if not has_gone:
            self._stayed.add(workspace_id)

    def _removed(self, task: asyncio.Task[None]) -> None:
        self._going.pop(task, None)
        self.changed()

    def _tell(self) -> None:
        """Tell who waits where it stands; not those for whom a container gives way already."""
        reason = self._reason()
        for position, waiter in enumerate(self._line.in_order(), 1):
            ticket = self._tickets[waiter.number]
            if ticket.asked.told is None or (reason == "places" and position <= len(self._going)):
                continue
            place = LinePlace(position, len(self._line), reason, self._limits.wait_s)
            if ticket.told is None or ticket.told.position != position:
                ticket.told = place
                ticket.asked.told(place)

    def _reason(self) -> Literal["places", "memory"]:
        return "memory" if self._level >= Level.WAIT else "places"

    def _refuse(self, refusal: Refusal, tenant: str) -> ContainersError:
        """Count a refusal and return it with the mend."""
        self._metrics.refused(refusal.value)
        log.info("claim_refused", reason=refusal.value, tenant=tenant, waiting=len(self._line))
        return refusal_error(
            refusal,
            slots=self._slots,
            reason=self._reason(),
            retry_after_s=self._pace.retry_after_s(
                waiting=len(self._line), unknown_s=self._limits.wait_s
            ),
        )
