import pytest
from benchmarks.sync_bars import PROCESSOR, lines_of, rounds_in_time

SAMPLES = {
    "small: upload: ours": [40.0, 100.0, 30.0],
    "small: upload: slow": [900.0, 900.0, 900.0],
    "small: upload: fast": [100.0, 100.0, 50.0],
    f"{PROCESSOR}small: upload: ours": [7.0, 8.0, 9.0],
    "small: download: ours": [10.0],
    "large: one byte changed: ours": [1.0],
}


def test_ours_is_compared_with_the_best_peer_round_by_round() -> None:
    [line] = lines_of(SAMPLES, {"small: upload": 0.6})
    assert line.ratio == 0.6
    assert line.is_met
    assert line.ours == "40 ms (8 used)"
    assert line.best_peer == "fast 100 ms"
    assert not lines_of(SAMPLES, {"small: upload": 0.5})[0].is_met


def test_without_a_peer_there_is_no_pass_and_no_miss() -> None:
    [line] = lines_of(SAMPLES, {"small: download": 0.5})
    assert (line.is_met, line.best_peer) == (None, "no peer")


def test_what_was_not_measured_has_no_line() -> None:
    assert lines_of(SAMPLES, {"huge: upload": 0.5}) == []


@pytest.mark.parametrize(
    ("lasting_s", "done"),
    [
        ([10.0, 10.0, 10.0, 10.0, 10.0], 5),
        ([10.0, 10.0, 45.0, 10.0, 10.0], 3),
        ([50.0, 50.0], 2),
        ([51.0, 10.0], 1),
        ([500.0, 1.0], 1),
    ],
)
def test_no_round_is_begun_that_would_end_too_late(lasting_s: list[float], done: int) -> None:
    clock = Clock()
    began = []
    for number in rounds_in_time(len(lasting_s), clock, time_s=100):
        began.append(number)
        clock.now_s += lasting_s[number]
    assert began == list(range(done))


class Clock:
    now_s = 7.0

    def __call__(self) -> float:
        return self.now_s
