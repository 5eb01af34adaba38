from typing import Any

import pytest
from tests.escape.bombs import BOMBS, Bomb, stopped_by

BOMB = Bomb("", frozenset({"EAGAIN"}), kills=frozenset({"runsc"}), unmet=frozenset({"runsc"}))
DIED = {"type": "container_recovered", "data": {"reason": "killed"}}


def said(text: str) -> list[dict[str, Any]]:
    return [{"type": "tool_result", "data": {"text": text}}, {"type": "result", "data": {}}]


@pytest.mark.parametrize(
    ("runtime", "events", "stopped"),
    [
        ("runc", said("rounds 3 met ENOENT 1, EAGAIN 14\nover"), "ENOENT 1, EAGAIN 14"),
        ("runc", said("rounds 3 met ENOENT 1\nover"), ""),
        ("runc", said("rounds 3 met -\nover"), ""),
        ("runc", said("SyntaxError: invalid syntax\nover"), ""),
        ("runc", said("python3: not found\nover"), ""),
        ("runc", said("over"), ""),
        ("runc", [], ""),
        ("runc", [DIED, *said("rounds 3 met EAGAIN 14")], ""),
        ("runsc", [DIED, *said("")], "its box died: killed"),
        ("runsc", said("rounds 3 met -\nover"), "nothing, 3 rounds"),
        ("runsc", said("rounds 0 met -\nover"), ""),
        ("runsc", said("SyntaxError: invalid syntax\nover"), ""),
    ],
)
def test_a_bomb_went_off_only_if_it_says_what_stopped_it(
    runtime: str, events: list[dict[str, Any]], stopped: str
) -> None:
    assert stopped_by(BOMB, runtime, events) == stopped


def test_what_is_throttled_must_have_come_to_its_end() -> None:
    bomb = Bomb("", is_throttled=True)
    assert stopped_by(bomb, "runc", said("over")) == "throttled"
    assert stopped_by(bomb, "runc", said("sh: not found\nover")) == ""


def test_each_bomb_has_something_that_stops_it() -> None:
    assert {"fill /workspace", "flood of files in /workspace", "fill /tmp"} <= set(BOMBS)
    for bomb in BOMBS.values():
        assert bool(bomb.stops) != bomb.is_throttled
