"""Whether a free lease means that nobody has it. Pure.

A service that lost its memory, or was away so long that leases ran out in it, gives a lease to
whoever asks first, while the one who had it goes on and renews it at his next turn. So what others
may have is left alone until everybody had the time to say so: one lease's length, counted on our
own clock, since we first saw the service in its present life. No clock but our own is asked.
"""


class Settling:
    """Follows the lives of the service."""

    def __init__(self, *, settle_s: float) -> None:
        """`settle_s` is at least as long as a lease."""
        self._settle_s = settle_s
        self._life: str | None = None
        self._since_s = 0.0

    def saw(self, life: str, *, now_s: float) -> None:
        """Note which life of the service has just answered."""
        if life != self._life:
            self._life = life
            self._since_s = now_s

    def lost_sight(self) -> None:
        """Note that it did not answer: the next life that does counts as new."""
        self._life = None

    def is_settled(self, *, now_s: float) -> bool:
        """Whether a holder would have said so by now."""
        return self._life is not None and now_s - self._since_s >= self._settle_s
