from benchmarks.neighbours import BASELINE, verdicts
from benchmarks.report import Report


def test_a_neighbour_twice_as_slow_as_under_the_same_runtime_misses_the_bar() -> None:
    samples_ms = {
        f"runc: {BASELINE}": [100.0],
        "runc: fork bomb": [150.0],
        "runc: fill": [201.0],
        f"runsc: {BASELINE}": [300.0],
        "runsc: fork bomb": [330.0],
    }
    assert verdicts(Report("", samples_ms=samples_ms)) == {
        "runc: fork bomb": "1.50x (pass, at most 2x)",
        "runc: fill": "2.01x (miss, at most 2x)",
        "runsc: fork bomb": "1.10x (pass, at most 2x)",
    }
