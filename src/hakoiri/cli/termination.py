"""How a program that started others ends when it is told to."""

import signal
import sys
from types import FrameType
from typing import Final

EXIT_CODE: Final = 128 + signal.SIGTERM
"""As a shell tells it."""


def end_in_order_on_sigterm() -> None:
    """Let the first SIGTERM end this process by `SystemExit`, so that all that is open is closed.

    Python's own way is to be gone at once, and servers and containers would be left.
    """
    signal.signal(signal.SIGTERM, _end)


def _end(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the way out is not to be cut short
    sys.exit(EXIT_CODE)
