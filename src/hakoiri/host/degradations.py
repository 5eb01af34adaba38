"""What works less well than it should while turns start all the same: each with its mend."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from hakoiri.audit.shipping.status import ShipStatus
from hakoiri.host.containers.box_probe import Told
from hakoiri.host.containers.capacity import Level
from hakoiri.host.containers.confinement import Confinement
from hakoiri.host.telemetry.conditions import Degradation
from hakoiri.wire.messages import Runtime
from hakoiri.wire.pool import PoolRuntimeReport

SHIPPER_SILENT_S: Final = 120.0
"""As the alert HakoiriAuditNotShipped has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Degradations:
    """Looks at what this server knows already: asks nobody, and so never waits."""

    confinement: Confinement
    probe: Callable[[], Told]
    pool: Callable[[], Mapping[Runtime, PoolRuntimeReport]]
    memory: Callable[[], Level]
    redis: Callable[[], str | None] = lambda: None
    """Why Redis cannot be used, for a server that goes on without it."""

    shipping: Callable[[], ShipStatus | None] | None = None
    """What the shipper told last; absent where none is set up."""

    is_tracing_failing: Callable[[], bool] = lambda: False
    wall_s: Callable[[], float]
    """Seconds since 1970."""

    def found(self) -> list[Degradation]:
        """Return what there is now."""
        told = [
            *of_the_box(self.probe(), self.confinement),
            *of_the_pool(self.pool()),
            *of_memory(self.memory()),
            *of_redis(self.redis()),
            *of_tracing(is_failing=self.is_tracing_failing()),
        ]
        if self.shipping is not None:
            told += of_shipping(self.shipping(), now_s=self.wall_s())
        return told


def of_the_box(told: Told, confinement: Confinement) -> Iterator[Degradation]:
    """What the boxes of this server lack."""
    for runtime, probe in told.items():
        if probe.state == "failed":
            yield Degradation(
                "probe",
                f"no box of {runtime} could be looked at: {probe.reason}",
                f"run `hakoiri probe --runtime {runtime}`, which says more",
            )
        elif probe.open:
            yield Degradation(
                "probe",
                f"a box of {runtime} can do what it should not: {', '.join(probe.open)}",
                f"run `hakoiri probe --runtime {runtime}`; see docs/security/probe.md for what "
                "each of them needs",
            )
    if confinement.mend:
        yield Degradation("apparmor", confinement.reason, confinement.mend)


def of_the_pool(runtimes: Mapping[Runtime, PoolRuntimeReport]) -> Iterator[Degradation]:
    """Pools that cannot be filled: turns start cold, if they start."""
    for runtime, pool in runtimes.items():
        if pool.state == "failing":
            yield Degradation(
                "pool",
                f"no warm container of {runtime} can be started: {pool.reason}",
                "see the log's warm_pool_refill_failed; `hakoiri doctor` tells what the host lacks",
            )


def of_memory(level: Level) -> Iterator[Degradation]:
    """What is held back for want of memory."""
    effects = {
        Level.HOLD: "no warm container is started",
        Level.DRAIN: "warm containers are removed",
        Level.WAIT: "turns that need a container wait",
    }
    if level in effects:
        yield Degradation(
            "memory",
            f"the host is short of memory: {effects[level]}",
            "see what else runs on the host, or lower HAKOIRI_CONTAINER__LIMIT",
        )


def of_redis(failure: str | None) -> Iterator[Degradation]:
    """Redis, where this server goes on without it."""
    if failure is not None:
        yield Degradation(
            "coordination",
            f"{failure}; this server goes on by itself",
            "see that Redis answers, and let no second server run meanwhile",
        )


def of_shipping(status: ShipStatus | None, *, now_s: float) -> Iterator[Degradation]:
    """Copies of the audit log that do not get on; `now_s` is seconds since 1970."""
    if status is None or now_s - status.told_at > SHIPPER_SILENT_S:
        yield Degradation(
            "audit-shipping",
            "the process that copies the audit log tells nothing",
            "see what it said last; `hakoiri audit ship status` tells what it told last",
        )
        return
    for target in status.targets:
        if target.error is not None:
            yield Degradation(
                "audit-shipping",
                f"the audit log is not copied to {target.name}: {target.error}",
                "see that the target can be reached and written; what waits is kept meanwhile",
            )


def of_tracing(*, is_failing: bool) -> Iterator[Degradation]:
    """The collector of traces."""
    if is_failing:
        yield Degradation(
            "tracing",
            "the collector took none of the newest spans; they are lost",
            "see that HAKOIRI_TRACING__ENDPOINT can be reached, and what the collector says",
        )
