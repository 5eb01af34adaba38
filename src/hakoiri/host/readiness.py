"""Whether what a turn needs answers: asked by `/ready`, and again and again for the figures."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from hakoiri.audit.writer import AuditLog
from hakoiri.host.containers.ports import ContainerEngine, EngineError
from hakoiri.host.conversations.ports import StoreError
from hakoiri.host.coordination.ports import Coordination
from hakoiri.host.files.ports import FilesError
from hakoiri.host.telemetry.conditions import PartAnswer
from hakoiri.host.telemetry.health_metrics import HealthMetrics, Part

LOOK_EVERY_S: Final = 15.0
ANSWER_LIMIT_S: Final = 8.0
"""How long an answer is waited for: less than the 10 s that most monitors wait for `/ready`."""

Check = Callable[[], Awaitable[list[str]]]
"""Gives the reasons why a part does not serve; empty if it does."""

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Ask:
    """One look at a part that is under way, and since when."""

    task: asyncio.Task[list[str]]
    begun_s: float


class Readiness:
    """Asks all parts at once, and waits for none of them for longer than `limit_s`.

    A look at a part that hangs (a store on a network's file system, say) may hold a thread that
    nobody can end. So there is one look at a part at a time, however many ask: it is left alone,
    and its part is down until it ends.
    """

    def __init__(
        self,
        *,
        checks: Mapping[Part, Check],
        metrics: HealthMetrics,
        clock: Callable[[], float],
        sleep: Sleep = asyncio.sleep,
        limit_s: float = ANSWER_LIMIT_S,
    ) -> None:
        """`clock` gives monotonic seconds."""
        self._checks = checks
        self._metrics = metrics
        self._clock = clock
        self._sleep = sleep
        self._limit_s = limit_s
        self._asks: dict[Part, _Ask] = {}

    async def answers(self) -> list[PartAnswer]:
        """Return how each part is; a turn can start if none has a reason why not."""
        return list(await asyncio.gather(*(self._ask(part) for part in self._checks)))

    async def run(self) -> None:
        """Ask until cancelled, so that the figures are never old."""
        try:
            while True:
                await self.answers()
                await self._sleep(LOOK_EVERY_S)
        finally:
            for ask in self._asks.values():
                ask.task.cancel()

    async def _ask(self, part: Part) -> PartAnswer:
        ask = self._asks.get(part)
        if ask is None or ask.task.done():
            look = asyncio.get_running_loop().create_task(self._look(part), name=f"look at {part}")
            ask = self._asks[part] = _Ask(look, self._clock())
        await asyncio.wait({ask.task}, timeout=self._limit_s)
        took_s = self._clock() - ask.begun_s
        if ask.task.done():
            reasons = ask.task.result()
        else:
            reasons = [f"the {part} gave no answer for {took_s:.0f} s"]
        self._metrics.checked(part, is_up=not reasons, seconds=took_s)
        return PartAnswer(part, tuple(reasons))

    async def _look(self, part: Part) -> list[str]:
        try:
            return await self._checks[part]()
        except (EngineError, StoreError, FilesError) as error:
            return [str(error)]


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
    """Return the check of this server's audit log: what cannot be audited is not to be begun."""

    async def reasons() -> list[str]:
        return [audit.failure] if audit.failure is not None else []

    return reasons


def coordination_check(coordination: Coordination) -> Check:
    """Return the check of Redis, for where new turns need it."""

    async def reasons() -> list[str]:
        away = coordination.failure()
        return [] if away is None else [away]

    return reasons
