import argparse

import pytest
from benchmarks.arguments import count, duration


def test_numbers_that_can_be_meant_are_read() -> None:
    assert (count("1"), count("2000")) == (1, 2000)
    assert (duration("0.5"), duration("30")) == (0.5, 30.0)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "", "nan"])
def test_a_count_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="of at least 1"):
        count(text)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "long", ""])
def test_a_duration_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="above 0"):
        duration(text)
