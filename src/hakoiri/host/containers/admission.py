"""Who waits for a container, in which order, and what gives up its place for them, purely.

Tenants take turns, whoever comes first of each: a tenant that floods the line puts another's first
claim back by one place at most. Turns that had begun and lost their container come before all.
`admission_gate` carries out what is decided here. Times are monotonic seconds.
"""

import math
from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from hakoiri.host.containers.gc import Member

RETRY_MAX_S: Final = 300
"""Nobody is told to come back later than this: places become free when nobody foresees it."""

PACE_WEIGHT: Final = 0.3
"""How much the newest interval counts in the mean of those between two places."""


class Refusal(StrEnum):
    """Why a claim gets no place; the value is a metric's label."""

    LINE_FULL = "line-full"
    """As many wait as may."""

    TENANT_FULL = "tenant-line-full"
    """As many of its tenant wait as may."""

    WAITED = "waited-too-long"
    """It waited for as long as a claim may."""

    STOPPING = "stopping"
    """The server is going down."""

    GONE = "workspace-gone"
    """Its workspace was killed or deleted meanwhile."""


@dataclass(frozen=True, slots=True)
class Waiter:
    """A claim in the line; `number` is its own. `resumes`: its turn had a container before."""

    number: int
    tenant: str
    workspace_id: str
    since_s: float
    resumes: bool = False


@dataclass(frozen=True, slots=True)
class LinePlace:
    """Where a waiter stands, from 1 on, among how many, what it waits for and how long at most."""

    position: int
    waiting: int
    reason: Literal["places", "memory", "services"]
    limit_s: float


class Line:
    """The waiting line: bounded, fair between tenants, in order within one."""

    def __init__(self, *, limit: int, tenant_limit: int) -> None:
        self._limit = limit
        self._tenant_limit = tenant_limit
        self._resumed: deque[Waiter] = deque()
        # in the order in which they have their turns
        self._tenants: OrderedDict[str, deque[Waiter]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._resumed) + sum(map(len, self._tenants.values()))

    def refusal(self, tenant: str) -> Refusal | None:
        """Say why one more claim of the tenant may not join; None if it may."""
        if len(self._tenants.get(tenant, ())) >= self._tenant_limit:
            return Refusal.TENANT_FULL
        return Refusal.LINE_FULL if len(self) >= self._limit else None

    def join(self, waiter: Waiter) -> None:
        """Let a claim stand in the line; that it may is the caller's to ask."""
        if waiter.resumes:
            self._resumed.append(waiter)
        else:
            self._tenants.setdefault(waiter.tenant, deque()).append(waiter)

    def leave(self, waiter: Waiter) -> None:
        """Take a claim out, wherever it stands; nothing happens if it is not there."""
        if waiter in self._resumed:
            self._resumed.remove(waiter)
        own = self._tenants.get(waiter.tenant, deque())
        if waiter in own:
            own.remove(waiter)
            if not own:
                del self._tenants[waiter.tenant]

    def take_first(self) -> Waiter:
        """Take out who is next; its tenant's others have to wait until all tenants had a turn."""
        if self._resumed:
            return self._resumed.popleft()
        tenant, own = next(iter(self._tenants.items()))
        first = own.popleft()
        if own:
            self._tenants.move_to_end(tenant)
        else:
            del self._tenants[tenant]
        return first

    def in_order(self) -> Iterator[Waiter]:
        """Yield all in the order in which they would get places if nobody came or left."""
        yield from self._resumed
        round_number = 0
        while True:
            of_round = [
                own[round_number] for own in self._tenants.values() if len(own) > round_number
            ]
            if not of_round:
                return
            yield from of_round
            round_number += 1


@dataclass(frozen=True, slots=True)
class Places:
    """What places there are, and who has them.

    `taken` counts all containers, those that start, are promised or being removed. `spare` counts
    warm ones that may go, `warm_going` those of them that are going for a waiter, `going` the
    workspaces whose idle containers are. While `is_held` nothing is started: memory is short.
    """

    slots: int
    taken: int
    waiting: int
    spare: int
    members: Sequence[Member]
    warm_going: int = 0
    going: Collection[str] = ()
    is_held: bool = False

    @property
    def free(self) -> int:
        """How many containers may be started now."""
        return 0 if self.is_held else max(0, self.slots - self.taken)

    @property
    def can_serve_one_more(self) -> bool:
        """Whether a place is free or can be made for all who wait and for one more."""
        if self.is_held:
            return False
        idle = [one for one in idle_first(self.members) if one not in self.going]
        to_come = self.spare + len(idle) + len(self.going)
        return self.slots - self.taken + to_come > self.waiting


@dataclass(frozen=True, slots=True)
class Decision:
    """How many of the line get a place now, how many warm containers go, and whose idle ones."""

    grants: int = 0
    warm: int = 0
    idle: tuple[str, ...] = ()


def decide(places: Places) -> Decision:
    """Return what is to be done for the line: first what is free, then warm ones, then idle ones.

    While memory is short nobody gets a place, and one container at a time goes.
    """
    if places.waiting == 0:
        return Decision()
    grants = min(places.free, places.waiting)
    over = max(0, places.taken - places.slots)
    going = places.warm_going + len(places.going)
    lacking = max(0, places.waiting - grants + over - going)
    if places.is_held:
        lacking = min(lacking, max(0, 1 - going))
    warm = min(lacking, max(0, places.spare - places.warm_going))
    idle = [one for one in idle_first(places.members) if one not in places.going]
    return Decision(grants, warm, tuple(idle[: lacking - warm]))


def idle_first(members: Iterable[Member]) -> list[str]:
    """Return the workspaces whose containers may go for another's, who goes first coming first.

    None that is in use, nor one that holds the only copy of files. Frozen ones go first.
    """
    return [
        workspace_id
        for _, _, workspace_id in sorted(
            (not member.is_frozen, member.idle_since_s, member.workspace_id)
            for member in members
            if member.idle_since_s is not None and not member.is_unsaved
        )
    ]


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast places come: the mean of seconds between two, None before there were two."""

    interval_s: float | None = None
    last_s: float | None = None

    def after_place(self, *, now_s: float, others_wait: bool) -> "Pace":
        """Return the pace after a waiter got a place; while nobody waits there is none to tell."""
        interval_s = self.interval_s
        if self.last_s is not None:
            newest_s = now_s - self.last_s
            former_s = newest_s if interval_s is None else interval_s
            interval_s = former_s + PACE_WEIGHT * (newest_s - former_s)
        return Pace(interval_s, now_s if others_wait else None)

    def retry_after_s(self, *, waiting: int, unknown_s: float) -> int:
        """Return when to come again: when all who wait have had their place at this pace.

        At least 1, at most `RETRY_MAX_S`; `unknown_s` where no pace is known yet.
        """
        told_s = unknown_s if self.interval_s is None else self.interval_s * (waiting + 1)
        return max(1, min(RETRY_MAX_S, math.ceil(told_s)))
