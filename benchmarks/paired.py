"""What something costs: the same work with and without it, side by side, again and again. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, TypeAlias

RESAMPLES: Final = 2000
CONFIDENCE: Final = 0.95
LEAST: Final = 5
"""Pairs; of fewer an interval says nothing."""

Pair: TypeAlias = tuple[float, float]
"""The work without it, and what the same work took more with it, at the same time."""


@dataclass(frozen=True, slots=True)
class Cost:
    """By which part the work costs more with it; `low` to `high` holds the truth at 95 %."""

    share: float
    low: float
    high: float

    def meets(self, bar: float) -> bool | None:
        """Whether it is under the bar; None if that cannot be told from these pairs."""
        if self.high < bar:
            return True
        return False if self.low > bar else None


def cost(blocks: Sequence[Sequence[Pair]]) -> Cost:
    """Compare pairs; those of a block were done by the same processes.

    The interval is a bootstrap's (percentiles), so nothing is taken for granted of how the noise is
    spread: first over the blocks, as two processes that do the same differ by a per cent or two for
    as long as they live, then over the pairs of each. Raises `ValueError` for too few pairs.
    """
    pairs = [pair for block in blocks for pair in block]
    if len(pairs) < LEAST:
        raise ValueError(f"{len(pairs)} pairs tell nothing; take {LEAST} at least")
    chance = Random(0)  # noqa: S311 - the same samples give the same interval
    drawn = sorted(_share(_redrawn(blocks, chance)) for _ in range(RESAMPLES))
    edge = round(RESAMPLES * (1 - CONFIDENCE) / 2)
    return Cost(_share(pairs), drawn[edge], drawn[-edge - 1])


def _redrawn(blocks: Sequence[Sequence[Pair]], chance: Random) -> list[Pair]:
    chosen = chance.choices([block for block in blocks if block], k=len(blocks))
    return [pair for block in chosen for pair in chance.choices(block, k=len(block))]


def _share(pairs: Sequence[Pair]) -> float:
    return sum(more for _, more in pairs) / sum(without for without, _ in pairs)
