"""Which disturbance comes when. Pure: the same seed gives the same storm."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

WAITING: Final = 0.6
"""The share of strikes that come when all is up: else most would find nobody to hit."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A disturbance as the schedule sees it: what it takes away is back after `holds_s`.

    One whose `holds_s` is None is over at once.
    """

    name: str
    holds_s: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Strike:
    """The begin or the end of a disturbance, `at_s` after the storm's begin.

    `pick` chooses among those whom it may hit: the one of that number, modulo their count. One
    that `waits` comes when what was struck before is up again; the others hit whatever there is.
    """

    at_s: float
    kind: str
    act: Literal["begin", "end"]
    pick: int
    waits: bool = False


def plan(seed: int, *, kinds: Sequence[Kind], seconds: float, every_s: float) -> tuple[Strike, ...]:
    """Return the strikes of a storm in the order of their times.

    Every kind comes once before any comes twice, as far as there is time. What is away is not
    taken away again, and all is back at the end.
    """
    chance = Random(seed)  # noqa: S311 - it has to be repeatable, not secret
    strikes: list[Strike] = []
    back_at_s: dict[str, float] = {}
    deck: list[Kind] = []
    at_s = chance.uniform(0.5, 1.0) * every_s
    while at_s < seconds:
        deck = deck or chance.sample(list(kinds), len(kinds))
        kind = next((one for one in deck if back_at_s.get(one.name, 0.0) <= at_s), None)
        if kind is not None:
            deck.remove(kind)
            pick, waits = chance.randrange(2**16), chance.random() < WAITING
            strikes.append(Strike(at_s, kind.name, "begin", pick, waits))
            if kind.holds_s is not None:
                back_at_s[kind.name] = min(at_s + chance.uniform(*kind.holds_s), seconds)
                strikes.append(Strike(back_at_s[kind.name], kind.name, "end", 0))
        at_s += chance.uniform(0.4, 1.6) * every_s
    return tuple(sorted(strikes, key=lambda strike: strike.at_s))
