from benchmarks.neighbours import BASELINE, lines_of
from benchmarks.report import Report


def test_a_neighbour_twice_as_slow_as_under_the_same_runtime_misses_the_bar() -> None:
    samples_ms = {
        f"runc: {BASELINE}": [100.0],
        "runc: fork bomb": [150.0],
        "runc: fill /tmp": [201.0],
        f"runsc: {BASELINE}": [300.0],
        "runsc: fork bomb": [330.0],
    }
    found = {
        line.work: (line.ratio, line.is_met) for line in lines_of(Report("", None, samples_ms))
    }
    assert found["runc: fork bomb"] == (1.5, True)
    assert found["runc: fill /tmp"] == (2.01, False)
    assert found["runsc: fork bomb"] == (1.1, True)
    assert found["runsc: fill /tmp"] == (None, None), (
        "nothing is said of a bomb that never went off"
    )
