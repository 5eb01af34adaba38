"""Whether what a turn needs answers: asked by `/ready`, and again and again for the figures."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from hakoiri.audit.writer import AuditLog
from hakoiri.host.containers.ports import ContainerEngine, EngineError
from hakoiri.host.conversations.ports import StoreError
from hakoiri.host.files.ports import FilesError
from hakoiri.host.telemetry.health_metrics import HealthMetrics, Part

LOOK_EVERY_S: Final = 15.0

Check = Callable[[], Awaitable[list[str]]]
"""Gives the reasons why a part does not serve; empty if it does."""

Sleep = Callable[[float], Awaitable[None]]


class Readiness:
    """Asks all parts at once."""

    def __init__(
        self,
        *,
        checks: Mapping[Part, Check],
        metrics: HealthMetrics,
        clock: Callable[[], float],
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`clock` gives monotonic seconds."""
        self._checks = checks
        self._metrics = metrics
        self._clock = clock
        self._sleep = sleep

    async def reasons(self) -> list[str]:
        """Return why a turn cannot start now; empty if one can."""
        told = await asyncio.gather(*(self._ask(part) for part in self._checks))
        return [reason for reasons in told for reason in reasons]

    async def run(self) -> None:
        """Ask until cancelled, so that the figures are never old."""
        while True:
            await self.reasons()
            await self._sleep(LOOK_EVERY_S)

    async def _ask(self, part: Part) -> list[str]:
        began_s = self._clock()
        try:
            reasons = await self._checks[part]()
        except (EngineError, StoreError, FilesError) as error:
            reasons = [str(error)]
        self._metrics.checked(part, is_up=not reasons, seconds=self._clock() - began_s)
        return reasons


def engine_check(engine: ContainerEngine, *, runtimes: tuple[str, ...]) -> Check:
    """Return the check of the engine and of each runtime."""

    async def reasons() -> list[str]:
        checks = [engine.check(runtime=one) for one in runtimes]
        outcomes = await asyncio.gather(*checks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, EngineError):
                raise outcome
        return [str(outcome) for outcome in outcomes if isinstance(outcome, EngineError)]

    return reasons


def answers(check: Callable[[], Awaitable[None]]) -> Check:
    """Return the check of a part that raises when it does not serve."""

    async def reasons() -> list[str]:
        await check()
        return []

    return reasons


def audit_check(audit: AuditLog) -> Check:
    """Return the check of the audit log: what cannot be audited is not to be begun."""

    async def reasons() -> list[str]:
        return [audit.failure] if audit.failure is not None else []

    return reasons
