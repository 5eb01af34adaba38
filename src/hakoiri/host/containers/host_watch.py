"""Keeps the gate told of the host: how many containers it bears, and how short of memory it is.

The one place where the host is looked at: a claim asks the gate, which knows the newest answer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from hakoiri.host.containers.admission_gate import AdmissionGate
from hakoiri.host.containers.capacity import (
    Capacity,
    Level,
    Need,
    Shortage,
    Thresholds,
    capacity_of,
)
from hakoiri.host.containers.host_reading import HostReading

STEP_EVERY_S: Final = 1.0
"""Also how late a wait may end that is over."""

log = structlog.get_logger(__name__)

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class HostLimits:
    """What is made of a reading: containers at most, what one needs, and the levels of shortage."""

    configured: int
    need: Need
    thresholds: Thresholds
    calm_s: float


class HostWatch:
    """One a server; `step` once before serving, then `run`."""

    def __init__(
        self,
        *,
        read: Callable[[], HostReading],
        gate: AdmissionGate,
        limits: HostLimits,
        level_changed: Callable[[], None],
        clock: Callable[[], float],
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`read` looks at the host and must not wait; `clock` gives monotonic seconds."""
        self._read = read
        self._gate = gate
        self._limits = limits
        self._level_changed = level_changed
        self._clock = clock
        self._sleep = sleep
        self._shortage = Shortage()
        self._capacity: Capacity | None = None
        self._is_untold = False

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._sleep(STEP_EVERY_S)
            self.step()

    def step(self) -> None:
        """Look once at the host and at the line."""
        host = self._read()
        self._tell_what_is_missing(host)
        limits, before = self._limits, self._shortage.level
        self._shortage = self._shortage.after(
            host, limits.thresholds, now_s=self._clock(), calm_s=limits.calm_s
        )
        capacity = capacity_of(
            host, configured=limits.configured, need=limits.need, taken=self._gate.taken()
        )
        self._tell_bound(capacity)
        level = self._shortage.level
        self._gate.set_host(slots=capacity.slots, level=level)
        if level is not before:
            self._tell_level(level, host)
            self._level_changed()
        self._gate.look()

    def _tell_what_is_missing(self, host: HostReading) -> None:
        """Say once that the kernel does not tell of pressure, or not of memory at all."""
        if self._is_untold or host.pressure_percent is not None:
            return
        self._is_untold = True
        judged_by = "available memory alone" if host.available_bytes is not None else "nothing"
        log.warning("memory_pressure_unknown", judged_by=judged_by, mend="hakoiri doctor")

    def _tell_bound(self, capacity: Capacity) -> None:
        """Log what bounds the number of containers when that changes; not each number."""
        before, self._capacity = self._capacity, capacity
        if before is None or before.bound is not capacity.bound:
            log.info("container_slots", slots=capacity.slots, bound=capacity.bound.value)

    def _tell_level(self, level: Level, host: HostReading) -> None:
        tell = log.warning if level > Level.CALM else log.info
        tell(
            "memory_shortage",
            level=level.name.lower(),
            pressure_percent=host.pressure_percent,
            available_mib=None if host.available_bytes is None else host.available_bytes >> 20,
        )
