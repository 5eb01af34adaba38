import pytest
from benchmarks.__main__ import read_arguments


@pytest.mark.parametrize("number", ["0", "-1", "few"])
def test_too_few_samples_are_refused_at_once(
    number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        read_arguments(["seen_cost", "--n", number])
    assert ended.value.code == 2
    assert "--n" in capsys.readouterr().err


def test_what_is_enough_is_taken() -> None:
    assert read_arguments(["seen_cost", "--n", "1"]).n == 1
