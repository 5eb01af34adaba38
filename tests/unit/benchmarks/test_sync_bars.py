from benchmarks.sync_bars import PROCESSOR, lines_of

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
