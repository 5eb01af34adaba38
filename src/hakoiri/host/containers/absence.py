"""Which failures of a start are only an absence, and how long to wait for its end, purely.

An engine that is restarted, a guard or a proxy that is started again: seconds, in which no claim
has to fail. What any of them says *no* to is no absence. Times are monotonic seconds.
"""

from typing import Final

from hakoiri.host.containers.ports import ContainerEndedError, EngineAwayError, ProxyAwayError

FIRST_PAUSE_S: Final = 0.1
PAUSE_MAX_S: Final = 2.0
"""Between two looks; a look is two calls that are refused at once."""

ENDED_LIMIT: Final = 1
"""Containers that may end before they are healthy: an engine that stops ends them, once."""


class Absence:
    """One claim's wait for what is away."""

    def __init__(self, *, limit_s: float) -> None:
        """Nothing is away yet; from the first failure on it is waited for `limit_s` at most."""
        self.limit_s = limit_s
        self.looks = 0
        self._since_s: float | None = None
        self._ended = 0

    def pause_s(self, error: Exception, *, now_s: float) -> float | None:
        """Return how long to wait before the next look; None if the failure is final."""
        if isinstance(error, ContainerEndedError):
            self._ended += 1
            if self._ended > ENDED_LIMIT:
                return None
        elif not isinstance(error, EngineAwayError | ProxyAwayError):
            return None
        since_s = self._since_s = now_s if self._since_s is None else self._since_s
        left_s = since_s + self.limit_s - now_s
        if left_s <= 0:
            return None
        pause_s = min(FIRST_PAUSE_S * 2.0 ** min(self.looks, 16), PAUSE_MAX_S, left_s)
        self.looks += 1
        return pause_s
