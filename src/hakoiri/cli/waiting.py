"""Tells on a terminal that something takes its time. Elsewhere nothing is shown, nor imported."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show on a terminal's standard error that something takes its time, and for how long."""
    if not sys.stderr.isatty():
        yield
        return
    from hakoiri.cli.live_screen import spinner  # noqa: PLC0415 - colours take long to import

    with spinner(what):
        yield
