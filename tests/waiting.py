"""Waiting for what another process, or another thread, does."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

Found = TypeVar("Found")

WAIT_S: Final = 60.0
PAUSE_S: Final = 0.05


def until(
    check: Callable[[], Found | None],
    what: str | Callable[[], str] = "it never came",
    *,
    wait_s: float = WAIT_S,
) -> Found:
    """Return the first answer of `check` that counts as true; fail with `what` if none does."""
    deadline_s = time.monotonic() + wait_s
    while not (found := check()):
        if time.monotonic() > deadline_s:
            raise AssertionError(what if isinstance(what, str) else what())
        time.sleep(PAUSE_S)
    return found
