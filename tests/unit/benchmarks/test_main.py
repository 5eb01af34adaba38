import sys
from typing import Any

import pytest
from benchmarks import __main__ as front_door
from benchmarks.__main__ import BENCHMARKS, QUICKER, main, read_arguments
from benchmarks.proxy_bars import Line
from benchmarks.report import Report


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


@pytest.mark.parametrize(
    ("words", "is_met", "code"),
    [
        (["orchestrator"], True, 0),
        (["orchestrator"], None, 0),
        (["orchestrator"], False, 1),
        (["orchestrator", "--quick"], False, 0),
    ],
)
def test_a_bar_that_is_missed_is_the_exit_code(
    words: list[str],
    is_met: bool | None,  # noqa: FBT001 - parametrized
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[int] = []

    def measure(samples: int, **_: Any) -> Report:
        asked.append(samples)
        return Report("it", lines=[Line("it", "<= 1 ms", "2 ms", "", None, is_met)])

    monkeypatch.setattr(front_door, "end_in_order_on_sigterm", lambda: None)
    monkeypatch.setitem(BENCHMARKS, "orchestrator", measure)
    monkeypatch.setitem(QUICKER, "orchestrator", measure)
    for shown in ([], ["--json"]):
        monkeypatch.setattr(sys, "argv", ["benchmarks", *words, *shown])
        assert main() == code
    assert asked == [50, 50]
    assert "it" in capsys.readouterr().out
