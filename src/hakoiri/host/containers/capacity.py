"""How many containers the host bears, and how short of memory it is, purely."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from hakoiri.host.containers.host_reading import HostReading

PIDS_RESERVE: Final = 1024
"""Processes and threads that stay the host's own, however many the containers make."""

CALMER: Final = 0.75
"""A level is left when pressure is below this share of its threshold, and as much memory free."""


class Bound(StrEnum):
    """What bounds the number of containers."""

    CONFIGURED = "configured"
    """`HAKOIRI_CONTAINER__LIMIT`."""

    MEMORY = "memory"
    """The host's memory."""

    AVAILABLE = "available-memory"
    """What of it is available now."""

    PIDS = "pids"
    """The host's process ids: every container may use up its own, and no more are there."""


@dataclass(frozen=True, slots=True)
class Need:
    """What one container counts for, and what is kept for the host, in bytes and ids."""

    memory_bytes: int
    reserve_bytes: int
    pids: int


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many containers there may be, and what says so."""

    slots: int
    bound: Bound


def capacity_of(host: HostReading, *, configured: int, need: Need, taken: int) -> Capacity:
    """Return the smallest of all bounds; `taken` containers are there as the host was read.

    What the host does not tell bounds nothing. Its size never leaves less than one place; what is
    available now may leave none beside those that are taken.
    """
    found = [Capacity(configured, Bound.CONFIGURED)]
    if host.memory_bytes is not None:
        fit = (host.memory_bytes - need.reserve_bytes) // need.memory_bytes
        found.append(Capacity(max(1, fit), Bound.MEMORY))
    if host.pids is not None:
        fit = (host.pids - PIDS_RESERVE) // need.pids
        found.append(Capacity(max(1, fit), Bound.PIDS))
    if host.available_bytes is not None:
        more = max(0, host.available_bytes - need.reserve_bytes) // need.memory_bytes
        found.append(Capacity(taken + more, Bound.AVAILABLE))
    return min(found, key=lambda capacity: capacity.slots)


class Level(IntEnum):
    """How short of memory the host is; each level does what those before it do, too."""

    CALM = 0
    """Nothing is held back."""

    HOLD = 1
    """No warm container is started."""

    DRAIN = 2
    """Those that wait warm are removed."""

    WAIT = 3
    """Claims that need a new container wait."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A level is reached at so much pressure, or so little memory available, in percent."""

    pressure: float
    available: float


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Those of every level but `CALM`.

    Pressure counts only while less than `pressure_below` percent of the memory is available: a box
    that works at its own limit makes pressure too, and is not to hold back others' claims.
    """

    levels: Mapping[Level, Threshold]
    pressure_below: float

    def reach(self, host: HostReading, level: Level, *, eased: bool = False) -> bool:
        """Whether the host is at a level's threshold, or, `eased`, not clearly off it."""
        bound, ease = self.levels[level], CALMER if eased else 1.0
        available = host.available_percent
        if available is not None and available * ease <= bound.available:
            return True
        if host.pressure_percent is None or host.pressure_percent < bound.pressure * ease:
            return False
        return available is None or available < self.pressure_below


@dataclass(frozen=True, slots=True)
class Shortage:
    """The level, and since when the host has been calm enough for the one below."""

    level: Level = Level.CALM
    calmer_since_s: float | None = None

    def after(
        self, host: HostReading, thresholds: Thresholds, *, now_s: float, calm_s: float
    ) -> "Shortage":
        """Return the shortage after a reading: it rises at once, and falls a level at a time.

        It falls when the host was clearly off the level's threshold for `calm_s`.
        """
        reached = max(
            (level for level in thresholds.levels if thresholds.reach(host, level)),
            default=Level.CALM,
        )
        if reached > self.level:
            return Shortage(reached)
        if self.level is Level.CALM:
            return self
        if thresholds.reach(host, self.level, eased=True):
            return Shortage(self.level)
        if self.calmer_since_s is None:
            return Shortage(self.level, now_s)
        if now_s - self.calmer_since_s < calm_s:
            return self
        return Shortage(Level(self.level - 1), now_s)
