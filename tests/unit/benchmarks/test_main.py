import pytest
from benchmarks.__main__ import BENCHMARKS, LEAST_SAMPLES, read_arguments


@pytest.mark.parametrize("words", [["--n", "0"], ["seen_cost", "--n", "1"], ["all", "--n", "1"]])
def test_too_few_samples_are_refused_at_once(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        read_arguments(words)
    assert ended.value.code == 2
    assert "--n" in capsys.readouterr().err


def test_what_is_enough_is_taken() -> None:
    assert read_arguments(["cold_start", "--n", "1"]).n == 1
    assert read_arguments(["seen_cost", "--n", "2"]).n == 2
    assert LEAST_SAMPLES.keys() <= BENCHMARKS.keys()
