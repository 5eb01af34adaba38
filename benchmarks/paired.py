"""What something costs: the same work with and without it, side by side, again and again. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

RESAMPLES: Final = 4000
CONFIDENCE: Final = 0.95
LEAST: Final = 5
"""Pairs; of fewer an interval says nothing."""


@dataclass(frozen=True, slots=True)
class Cost:
    """By which part the work costs more with it; `low` to `high` holds the truth at 95 %.

    The interval is a bootstrap's over the pairs (percentiles), so nothing is taken for granted of
    how the noise is spread.
    """

    share: float
    low: float
    high: float

    def meets(self, bar: float) -> bool | None:
        """Whether it is under the bar; None if that cannot be told from these pairs."""
        if self.high < bar:
            return True
        return False if self.low > bar else None


def cost(without: Sequence[float], with_it: Sequence[float]) -> Cost:
    """Compare pairs of the same work; what comes first in both was done at the same time."""
    pairs = list(zip(without, with_it, strict=True))
    if len(pairs) < LEAST:
        raise ValueError(f"{len(pairs)} pairs tell nothing; take {LEAST} at least")
    chance = Random(0)  # noqa: S311 - the same samples give the same interval
    drawn = sorted(_share(chance.choices(pairs, k=len(pairs))) for _ in range(RESAMPLES))
    edge = round(RESAMPLES * (1 - CONFIDENCE) / 2)
    return Cost(_share(pairs), drawn[edge], drawn[-edge - 1])


def _share(pairs: Sequence[tuple[float, float]]) -> float:
    without = statistics.fmean(one for one, _ in pairs)
    return statistics.fmean(other - one for one, other in pairs) / without
