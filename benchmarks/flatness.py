"""Whether a figure grows: a line through its samples, and the noise around it. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

WARM_UP: Final = 0.2
"""The first part of the samples fills caches and pools, and is left out."""

LEAST: Final = 3
"""Samples that have to be left; through fewer there is always a line without noise."""

NOISE_TIMES: Final = 2.0
"""A rise of as many standard deviations of what is left around the line is noise."""


@dataclass(frozen=True, slots=True)
class Trend:
    """The line through samples after the warm-up.

    `slope` is in the figure's unit for each unit of x, `rise` what that makes over all samples that
    count, `noise` the standard deviation around the line. `bound` is what a rise may be at most.
    """

    first: float
    last: float
    slope: float
    rise: float
    noise: float
    bound: float

    @property
    def is_flat(self) -> bool:
        """Whether it does not grow beyond its noise; that it shrinks is no harm."""
        return self.rise <= self.bound


def fewest_samples() -> int:
    """Return how many samples a trend needs, with those of the warm-up."""
    return next(number for number in count(LEAST) if number - _skipped(number) >= LEAST)


def _skipped(samples: int) -> int:
    return round(samples * WARM_UP)


def trend(xs: Sequence[float], ys: Sequence[float], *, grain: float) -> Trend:
    """Fit by least squares; there have to be `fewest_samples`.

    `grain` is the smallest rise that means anything, in the figure's unit.
    """
    skipped = _skipped(len(xs))
    xs, ys = xs[skipped:], ys[skipped:]
    if len(xs) < LEAST:
        raise ValueError("a trend needs three samples after the warm-up; sample more often")
    slope, intercept = statistics.linear_regression(xs, ys)
    around = [y - (slope * x + intercept) for x, y in zip(xs, ys, strict=True)]
    noise = statistics.pstdev(around)
    rise = slope * (xs[-1] - xs[0])
    return Trend(ys[0], ys[-1], slope, rise, noise, max(NOISE_TIMES * noise, grain))
