"""Which try of a request this is, so that a scripted failure can end after some tries."""

from collections import OrderedDict
from typing import Final

CAPACITY: Final = 10_000


class Attempts:
    """Counts requests by fingerprint; remembers a bounded number of them."""

    def __init__(self, *, capacity: int = CAPACITY) -> None:
        """Remember at most `capacity` fingerprints; the longest unseen is forgotten first."""
        self._capacity = capacity
        self._counts: OrderedDict[str, int] = OrderedDict()

    def next(self, fingerprint: str) -> int:
        """The number of this try, from 0."""
        number = self._counts.pop(fingerprint, -1) + 1
        self._counts[fingerprint] = number
        while len(self._counts) > self._capacity:
            self._counts.popitem(last=False)
        return number

    def forget(self, fingerprint: str) -> None:
        """The request got its reply; the next of this kind starts anew."""
        self._counts.pop(fingerprint, None)
