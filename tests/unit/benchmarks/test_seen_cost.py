import pytest
from benchmarks.paired import Cost
from benchmarks.seen_cost import (
    AUDIT,
    BAR,
    OFF,
    ON,
    SCRAPE_EVERY_S,
    UNTOLD,
    Block,
    _line,
    lines_of,
    notes_of,
)

ROUNDS = 9


def block(*, audit: float = 0, traces: float = 0, **told: float) -> Block:
    """Servers that use 100 ms a turn, and what they are made to do beside it."""
    took = {OFF: 100.0, AUDIT: 100 + audit, ON: 100 + audit + traces}
    return Block({name: [ms] * ROUNDS for name, ms in took.items()}, [1.0] * ROUNDS, **told)


def shares(*blocks: Block) -> list[float]:
    return [float(line.ours.split("%")[0]) for line in lines_of(blocks)]


def test_a_bar_that_cannot_be_told_is_not_met() -> None:
    assert _line("", Cost(0.01, 0.0, BAR / 2), bar=BAR).is_met is True
    assert _line("", Cost(0.09, 0.06, 0.1), bar=BAR).is_met is False
    hidden = _line("", Cost(0.03, 0.01, 0.05), bar=BAR)
    assert (hidden.is_met, hidden.best_peer) == (None, UNTOLD)
    assert _line("", Cost(0.01, 0.0, 0.01)).is_met is None


def test_each_part_is_told_and_the_parts_make_the_whole() -> None:
    whole, figures, audit, traces, _ = shares(block(audit=2, traces=3, counting_ms=0.5))
    assert (figures, audit, traces) == (0.5, 2.0, 3.0)
    assert whole == pytest.approx(figures + audit + traces)
    assert [line.is_met for line in lines_of([block(audit=1)] * 2)][:1] == [True]
    assert [line.is_met for line in lines_of([block(audit=2, traces=3)] * 2)][:1] == [False]


def test_a_turn_bears_as_much_of_a_look_at_the_figures_as_it_is_long() -> None:
    looked = block(scrape_ms=SCRAPE_EVERY_S)
    assert looked.figures_ms == pytest.approx(1)
    looked.turn_s = [2.0] * ROUNDS
    assert looked.figures_ms == pytest.approx(2)
    assert shares(looked)[1] == 2.0


def test_the_boxs_time_is_part_of_the_turns_and_not_of_our_own() -> None:
    whole, *_, own = shares(block(audit=10, box_ms=900))
    assert (whole, own) == (1.0, 10.0)


def test_it_is_told_how_much_was_measured() -> None:
    told = notes_of([block(box_ms=50, scrape_ms=4)] * 3)
    assert told["pairs"].startswith(f"{3 * ROUNDS} of ")
    assert "50 ms" in told["a turn"]
    assert told["a look at the figures"].startswith("4.0 ms")
