"""Numbers on a command line: what cannot be meant is refused before anything is started."""

import argparse
import math


def count(text: str) -> int:
    """Read a whole number of at least one, for argparse."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return number


def duration(text: str) -> float:
    """Read a finite number above zero, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return number
