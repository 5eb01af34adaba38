import pytest
from benchmarks.neighbours import BASELINE, verdict
from benchmarks.report import Report


@pytest.mark.parametrize(
    ("beside_ms", "told"),
    [(150.0, "1.50x (pass, at most 2x)"), (201.0, "2.01x (miss, at most 2x)")],
)
def test_a_neighbour_twice_as_slow_misses_the_bar(beside_ms: float, told: str) -> None:
    report = Report("", baseline=BASELINE, samples_ms={BASELINE: [100.0], "bomb": [beside_ms]})
    assert verdict(report, "bomb") == told
