"""Whether the server lives, and whether a turn can start."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from hakoiri.host.containers.box_probe import ProbeTold, Told, summed
from hakoiri.host.containers.confinement import Confinement
from hakoiri.host.telemetry.conditions import Degradation, PartAnswer
from hakoiri.host.telemetry.health_metrics import Part
from hakoiri.wire.messages import Runtime
from hakoiri.wire.pool import PoolReport, PoolRuntimeReport

Readiness = Callable[[], Awaitable[Sequence[PartAnswer]]]
"""Gives how each part is that a turn needs, within a bounded time."""

Degraded = Callable[[], Sequence[Degradation]]
"""Gives what works less well than it should."""

REASON_LIMIT_CHARS: Final = 500


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class BoxProbed(BaseModel):
    """What a look at a box from inside found at the server's start; `open` should be empty.

    `took_s` is how long it took, and `processor_s` what it took of the processor, without the start
    of its container.
    """

    state: Literal["off", "running", "done", "failed"]
    refused: int
    open: list[str]
    reason: str
    took_s: float
    processor_s: float


class Probe(BoxProbed):
    """The looks at a box of each runtime together; done when all are, failed if one is.

    It does not decide on `ready`: a turn can start, and an operator decides whether it may.
    """

    runtimes: dict[Runtime, BoxProbed]


class AppArmor(BaseModel):
    """Whether AppArmor confines the containers; like the probe, it does not decide on `ready`."""

    state: Literal["confined", "degraded", "unknown"]
    profile: str | None
    reason: str


class PartReport(BaseModel):
    """One part that a turn needs: why it does not serve, and what to do about it."""

    up: bool
    reasons: list[str]
    mend: str


class DegradedReport(BaseModel):
    """What works less well than it should; like the probe, it does not decide on `ready`."""

    what: str
    reason: str
    mend: str


class Ready(BaseModel):
    """Whether a turn can start, and what is in its way."""

    ready: bool
    reasons: list[str]
    parts: dict[Part, PartReport]
    degraded: list[DegradedReport]
    probe: Probe
    apparmor: AppArmor
    pool: dict[Runtime, PoolRuntimeReport]
    """Warm containers by runtime. An empty pool is no reason: a turn starts cold then."""


def router(
    *,
    readiness: Readiness,
    degraded: Degraded,
    box_probe: Callable[[], Told],
    confinement: Confinement,
    pool: Callable[[], PoolReport],
) -> APIRouter:
    """`/health` and `/ready`."""
    routes = APIRouter()
    apparmor = AppArmor(
        state=confinement.state.value, profile=confinement.profile, reason=confinement.reason
    )

    @routes.get("/health")
    async def health() -> Health:
        """Answer, as long as the process runs."""
        return Health()

    @routes.get("/ready", responses={503: {"model": Ready, "description": "Not ready"}})
    async def ready(response: Response) -> Ready:
        """Say whether a turn can start; 503 with reasons if not."""
        parts = {one.part: _of_a_part(one) for one in await readiness()}
        reasons = [reason for part in parts.values() for reason in part.reasons]
        if reasons:
            response.status_code = 503
        response.headers["Cache-Control"] = "no-store"
        told = box_probe()
        looks = {runtime: _of_a_look(one) for runtime, one in told.items()}
        probe = Probe(**_of_a_look(summed(told)).model_dump(), runtimes=looks)
        return Ready(
            ready=not reasons,
            reasons=reasons,
            parts=parts,
            degraded=[_of_a_degradation(one) for one in degraded()],
            probe=probe,
            apparmor=apparmor,
            pool=pool().runtimes,
        )

    return routes


def _of_a_part(answer: PartAnswer) -> PartReport:
    reasons = [reason[:REASON_LIMIT_CHARS] for reason in answer.reasons]
    return PartReport(up=not reasons, reasons=reasons, mend=answer.mend)


def _of_a_look(told: ProbeTold) -> BoxProbed:
    return BoxProbed(
        state=told.state,
        refused=told.refused,
        open=[name[:REASON_LIMIT_CHARS] for name in told.open],
        reason=told.reason[:REASON_LIMIT_CHARS],
        took_s=round(told.took_s, 3),
        processor_s=round(told.processor_s, 3),
    )


def _of_a_degradation(one: Degradation) -> DegradedReport:
    return DegradedReport(what=one.what, reason=one.reason[:REASON_LIMIT_CHARS], mend=one.mend)
