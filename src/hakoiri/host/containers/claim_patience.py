"""Claims that meet an engine, a guard or a proxy which is away for a moment: they wait for it.

`absence` decides. Nothing is held meanwhile but what the claim held before, and before it is tried
again what the failed start left behind is removed: no claim gets two containers.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from hakoiri.host.containers.absence import Absence
from hakoiri.host.containers.admission import LinePlace
from hakoiri.host.containers.admission_gate import AdmissionGate, Asked
from hakoiri.host.containers.lifecycle import Lifecycle
from hakoiri.host.containers.model import Claim
from hakoiri.host.containers.ports import ContainersError

ALONE: Final = 1
"""Position and length of the line: what is away keeps nobody behind anybody."""

log = structlog.get_logger(__name__)


class ClaimPatience:
    """Tries a claim again for as long as what it needs is away."""

    def __init__(
        self,
        *,
        lifecycle: Lifecycle,
        gate: AdmissionGate,
        limit_s: float,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """Wait for `limit_s` in all at most; `clock` gives monotonic seconds."""
        self._lifecycle = lifecycle
        self._gate = gate
        self._limit_s = limit_s
        self._clock = clock
        self._sleep = sleep

    async def through(self, attempt: Callable[[], Awaitable[Claim]], asked: Asked) -> Claim:
        """Return what `attempt` returns, or raise what it raises last; `asked` is told.

        Raises `StoppingError` as well, for a claim that the gate ends when the server stops.
        """
        absence = Absence(limit_s=self._limit_s)
        while True:
            try:
                if absence.looks:
                    await self._lifecycle.look_back()
                return await attempt()
            except ContainersError as error:
                is_first = not absence.looks
                pause_s = absence.pause_s(error, now_s=self._clock())
                if pause_s is None:
                    raise
                log.info("claim_waits", workspace=asked.workspace_id, reason=str(error))
            if is_first and asked.told is not None:
                asked.told(LinePlace(ALONE, ALONE, "services", self._limit_s))
            self._gate.check_open(asked)
            await self._sleep(pause_s)
