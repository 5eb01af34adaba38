"""Which failures of a start are only an absence, and how long to wait for its end, purely.

An engine that is restarted, a guard or a proxy that is started again, a lost container whose files
somebody else is still saving: seconds, in which no claim has to fail. What any of them says *no* to
is no absence. Times are monotonic seconds.
"""

from typing import Final

from hakoiri.host.containers.ports import (
    BeingReplacedError,
    ContainerEndedError,
    EngineAwayError,
    EngineFaultError,
    ProxyAwayError,
)

FIRST_PAUSE_S: Final = 0.1
PAUSE_MAX_S: Final = 2.0
"""Between two looks; a look is two calls that are refused at once."""

DOUBTS_LIMIT: Final = 2
"""An engine that is being stopped ends containers and breaks calls off with an error of its own, as
one that is broken does: so often it is given the benefit of the doubt, until it is away indeed."""

DOUBT_PAUSE_S: Final = 1.0
"""By then an engine that was being stopped answers no more."""


class Absence:
    """One claim's wait for what is away."""

    def __init__(self, *, limit_s: float) -> None:
        """Nothing is away yet; from the first failure on it is waited for `limit_s` at most."""
        self.limit_s = limit_s
        self.looks = 0
        self._since_s: float | None = None
        self._doubts = 0

    def pause_s(self, error: Exception, *, now_s: float) -> float | None:
        """Return how long to wait before the next look; None if the failure is final."""
        shortest_s = 0.0
        if isinstance(error, ContainerEndedError | EngineFaultError):
            self._doubts += 1
            shortest_s = DOUBT_PAUSE_S
            if self._doubts > DOUBTS_LIMIT:
                return None
        elif not isinstance(error, EngineAwayError | ProxyAwayError | BeingReplacedError):
            return None
        elif isinstance(error, EngineAwayError):
            self._doubts = 0  # it was being stopped indeed
        since_s = self._since_s = now_s if self._since_s is None else self._since_s
        left_s = since_s + self.limit_s - now_s
        if left_s <= 0:
            return None
        pause_s = max(shortest_s, FIRST_PAUSE_S * 2.0 ** min(self.looks, 16))
        self.looks += 1
        return min(pause_s, PAUSE_MAX_S, left_s)
