import pytest
from benchmarks.live_sync import OFF, PROCESSOR, USUAL, lines_of


def samples(usual: list[float], used: list[float]) -> dict[str, list[float]]:
    return {
        OFF: [10_000, 20_000, 30_000],
        USUAL: usual,
        f"{PROCESSOR}, {OFF}": [500, 500, 500],
        f"{PROCESSOR}, {USUAL}": used,
    }


def test_a_round_is_compared_with_its_own_turn() -> None:
    time, share = lines_of(samples([10_400, 20_800, 99_000], [700, 700, 700]))
    assert time.ratio == pytest.approx(1.04)
    assert time.ours == "20800 ms, p95 91180"
    assert share.ratio == pytest.approx(1.01)
    assert (time.is_met, share.is_met) == (True, True)


def test_what_is_over_the_bar_is_missed() -> None:
    time, share = lines_of(samples([10_600, 21_200, 30_000], [1_500, 2_500, 2_500]))
    assert time.ratio == pytest.approx(1.06)
    assert share.ratio == pytest.approx(1.1)
    assert (time.is_met, share.is_met) == (False, False)
