"""Which warm containers are started, handed out and let go, purely.

State, configuration and time go in; decisions come out. `pool_keeper` carries them out. Times are
monotonic seconds.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from hakoiri.host.containers.hardening import ContainerLimits
from hakoiri.wire.messages import Runtime
from hakoiri.wire.pool import PoolSize

TRIES: Final = 3
"""So many starts in a row may fail before the pool tries slowly and raises the alarm."""

FIRST_PAUSE_S: Final = 1.0
"""After the first failure; doubled after each further one."""

SLOW_RETRY_S: Final = 60.0
JITTER: Final = 0.5
"""A pause is shortened by up to this share, so that pools on many hosts do not act as one."""

ROTATION_BEGINS: Final = 0.9
"""At this share of its maximum age a container's successor is started."""

LOOK_EVERY_S: Final = 30.0
"""Between two looks at a waiting container, so that a claim seldom finds a dead one."""

COLD_STARTS_BESIDE_URGENT: Final = 1
"""Below its minimum the pool is refilled beside so many cold starts; above it, beside none."""

QUIET_S: Final = 1.0
"""After a claim, above the minimum: its turn has the processors first."""

URGENT_QUIET_S: Final = 0.3
"""After a claim, below the minimum: until its first request is on its way. Claims that follow each
other sooner are served from what waits; the first that finds nothing starts cold, and then the pool
is filled beside it."""


class MemberState(StrEnum):
    """Where a container of the pool is."""

    STARTING = "starting"
    """It is made and waited for."""

    READY = "ready"
    """It is healthy, and waits for somebody."""

    LEAVING = "leaving"
    """It is being handed over: nobody else gets it, and it is not the pool's to remove."""

    RETIRING = "retiring"
    """It is to be removed, or being so; it counts until it is gone."""


@dataclass(frozen=True, slots=True)
class Shape:
    """All that a container's maker decides. A request gets a container of exactly its shape."""

    image_id: str
    runtime: Runtime
    limits: ContainerLimits


@dataclass(frozen=True, slots=True)
class Member:
    """One container of the pool. `ready_at_s` and `looked_at_s` count once it is ready."""

    container_id: str
    shape: Shape
    state: MemberState
    connects: bool = False
    """Whether it was started with the agent's own process connected."""

    ready_at_s: float = 0.0
    looked_at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Refill:
    """How refilling one shape fares: failures in a row, and the time of the next try."""

    failures: int = 0
    not_before_s: float = -math.inf

    @property
    def is_alarming(self) -> bool:
        """Whether so many tries failed that somebody should look."""
        return self.failures >= TRIES


NEVER_FAILED: Final = Refill()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the pool shall hold."""

    sizes: Mapping[Shape, PoolSize]
    max_age_s: float
    refills_at_once: int
    connects: bool


@dataclass(frozen=True, slots=True)
class Pool:
    """What the pool holds, and what goes on beside it.

    `room` is how many more containers the server may have, `cold_starts` how many users wait for
    one now, `claimed_at_s` the time of the last claim. While `is_short` of memory, none is to wait.
    """

    members: Collection[Member]
    room: int
    cold_starts: int = 0
    claimed_at_s: float = -math.inf
    refills: Mapping[Shape, Refill] = field(default_factory=dict)
    is_short: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """Start a container of this shape."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class Retire:
    """Remove this waiting container."""

    container_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Look:
    """Ask this waiting container how it is."""

    container_id: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, and until when nothing changes by itself (`inf`: until something happens)."""

    starts: tuple[Start, ...]
    retirements: tuple[Retire, ...]
    looks: tuple[Look, ...]
    wake_at_s: float


def decide(pool: Pool, wanted: Wanted, *, now_s: float) -> Plan:
    """Return what brings the pool nearer to what is wanted, within all bounds."""
    retirements = tuple(_retirements(pool, wanted, now_s))
    gone = {retire.container_id for retire in retirements}
    waiting = [
        member
        for member in _in_state(pool.members, MemberState.READY)
        if member.container_id not in gone
    ]
    looks = tuple(
        Look(member.container_id)
        for member in waiting
        if now_s - member.looked_at_s >= LOOK_EVERY_S
    )
    starts = tuple(map(Start, _starts(pool, wanted, gone, now_s)))
    return Plan(starts, retirements, looks, _wake_at_s(pool, waiting, wanted, now_s))


def choose(
    members: Iterable[Member], shape: Shape, *, max_age_s: float, connected: bool, now_s: float
) -> Member | None:
    """Return the member that a claim gets, None if the pool cannot serve it exactly.

    Of those that fit, one that is connected or not, as asked, comes first, then the oldest: it
    would be the first to be too old.
    """
    fitting = [
        member
        for member in _in_state(members, MemberState.READY)
        if member.shape == shape and now_s - member.ready_at_s < max_age_s
    ]
    return min(
        fitting,
        key=lambda member: (member.connects != connected, member.ready_at_s, member.container_id),
        default=None,
    )


def first_to_give_way(members: Collection[Member]) -> Member | None:
    """Return the member that goes when a user needs its place: what costs least to lose."""
    for state in (MemberState.RETIRING, MemberState.READY, MemberState.STARTING):
        found = _in_state(members, state)
        if found:
            return min(found, key=lambda member: (member.ready_at_s, member.container_id))
    return None


def after_failure(refill: Refill, *, now_s: float, jitter: float) -> Refill:
    """Return when to try again after one more failed start; `jitter` is in [0, 1)."""
    failures = refill.failures + 1
    pause_s = SLOW_RETRY_S if failures >= TRIES else FIRST_PAUSE_S * 2 ** (failures - 1)
    return Refill(failures, now_s + pause_s * (1 - JITTER * jitter))


def _in_state(members: Iterable[Member], state: MemberState) -> list[Member]:
    return [member for member in members if member.state is state]


def _is_ageing(member: Member, wanted: Wanted, now_s: float) -> bool:
    """Whether its successor should be there: by age, or because the setting changed."""
    age_s = now_s - member.ready_at_s
    return age_s >= wanted.max_age_s * ROTATION_BEGINS or member.connects != wanted.connects


def _retirements(pool: Pool, wanted: Wanted, now_s: float) -> Iterable[Retire]:
    ready = sorted(
        _in_state(pool.members, MemberState.READY),
        key=lambda member: (member.ready_at_s, member.container_id),
    )
    if pool.is_short:
        yield from (Retire(member.container_id, "memory is short") for member in ready)
        return
    for shape in dict.fromkeys(member.shape for member in ready):
        yield from _of_one_shape(
            [member for member in ready if member.shape == shape],
            shape,
            pool,
            wanted,
            now_s,
        )


def _of_one_shape(
    ready: list[Member], shape: Shape, pool: Pool, wanted: Wanted, now_s: float
) -> Iterable[Retire]:
    """Yield what goes of one shape's waiting members, which come the oldest first."""
    size = wanted.sizes.get(shape)
    if size is None:
        yield from (Retire(member.container_id, "no longer wanted") for member in ready)
        return
    too_old = [member for member in ready if now_s - member.ready_at_s >= wanted.max_age_s]
    kept = [member for member in ready if member not in too_old]
    ageing = [member for member in kept if _is_ageing(member, wanted, now_s)]
    fresh = [member for member in kept if member not in ageing]
    yield from (Retire(member.container_id, "too old") for member in too_old)
    surplus = fresh[: max(0, len(fresh) - size.target)]
    yield from (Retire(member.container_id, "the pool was made smaller") for member in surplus)
    replaced = ageing[: max(0, len(ageing) + len(fresh) - len(surplus) - size.target)]
    yield from (Retire(member.container_id, "its successor is ready") for member in replaced)
    is_full = _occupied(pool.members, shape) == len(ready) >= size.max
    is_failing = pool.refills.get(shape, NEVER_FAILED).failures > 0
    if ageing and is_full and not (too_old or surplus or replaced or is_failing):
        # no room for a successor beside it: one at a time goes first, if starting does not fail
        yield Retire(ageing[0].container_id, "its successor needs the place")


def _starts(pool: Pool, wanted: Wanted, gone: Collection[str], now_s: float) -> list[Shape]:
    if pool.is_short:
        return []
    slots = min(
        pool.room,
        wanted.refills_at_once - len(_in_state(pool.members, MemberState.STARTING)),
    )
    urgent: list[Shape] = []
    usual: list[Shape] = []
    for shape, size in wanted.sizes.items():
        if now_s < pool.refills.get(shape, NEVER_FAILED).not_before_s:
            continue
        of_shape = [member for member in pool.members if member.shape == shape]
        starting = len(_in_state(of_shape, MemberState.STARTING))
        ready = [
            member
            for member in _in_state(of_shape, MemberState.READY)
            if member.container_id not in gone
        ]
        fresh = sum(not _is_ageing(member, wanted, now_s) for member in ready)
        places = size.max - _occupied(pool.members, shape)
        lacking = min(size.target - fresh - starting, places)
        pressing = min(lacking, size.min - len(ready) - starting)
        urgent += [shape] * pressing
        usual += [shape] * (lacking - max(0, pressing))
    if pool.cold_starts > COLD_STARTS_BESIDE_URGENT:
        return []
    since_claim_s = now_s - pool.claimed_at_s
    if since_claim_s < URGENT_QUIET_S:
        return []
    is_quiet = pool.cold_starts == 0 and since_claim_s >= QUIET_S
    return ([*urgent, *usual] if is_quiet else urgent)[: max(0, slots)]


def _occupied(members: Iterable[Member], shape: Shape) -> int:
    """Count what takes a place of the pool: a member that leaves for its workspace does not."""
    return sum(
        member.shape == shape and member.state is not MemberState.LEAVING for member in members
    )


def _wake_at_s(pool: Pool, waiting: Iterable[Member], wanted: Wanted, now_s: float) -> float:
    times = [refill.not_before_s for refill in pool.refills.values()]
    times += [pool.claimed_at_s + URGENT_QUIET_S, pool.claimed_at_s + QUIET_S]
    for member in waiting:
        times.append(member.looked_at_s + LOOK_EVERY_S)
        times.append(member.ready_at_s + wanted.max_age_s * ROTATION_BEGINS)
        times.append(member.ready_at_s + wanted.max_age_s)
    return min((time_s for time_s in times if time_s > now_s), default=math.inf)
