import json

from tests.chaos.invariants import Violation
from tests.chaos.log_lines import LINE_LIMIT_CHARS, LINES_LIMIT, around, time_of

CONVERSATION = "c-0123456789abcdef0123456789abcdef"


def line(second: int, **told: str) -> str:
    return json.dumps({"timestamp": f"2026-01-02T03:04:{second:02}.500000Z", **told})


def event(second: int, turn: int, kind: str, **data: str) -> dict[str, object]:
    return {"time": f"2026-01-02T03:04:{second:02}Z", "turn": turn, "type": kind, "data": data}


LOG = [event(10, 1, "user_message", text="run: put 01234567-3"), event(30, 2, "error", code="x")]


def test_a_turns_end_is_shown_with_what_led_to_it_and_what_came_of_it() -> None:
    violation = Violation("unforeseen", "turn 2 ended with the error `internal`", CONVERSATION)
    lines = [line(second, event=f"at {second}") for second in range(26, 34)]
    assert around(violation, lines, LOG) == [lines[2], lines[3], lines[4]]


def test_what_names_the_conversation_or_a_container_is_shown_whenever_it_was() -> None:
    names = CONVERSATION[2:]
    lines = [
        line(1, turn=f"c-{names}-1"),
        line(2, workspace=f"w-{names}"),
        line(3, workspace="w-of-another"),
        line(4, container="c0123456789abcdef"),
    ]
    assert around(Violation("shown", "event 7 was shown", CONVERSATION), lines, []) == lines[:2]
    left = Violation("left over", "directories: /live/c0123456789abcdef, /live/other")
    assert around(left, lines, []) == lines[3:]


def test_a_file_is_shown_by_what_its_user_did() -> None:
    violation = Violation("files", "put/01234567-3 should be absent", CONVERSATION)
    lines = [line(second, event="any") for second in (7, 9, 10, 12)]
    assert around(violation, lines, LOG) == lines[1:3]


def test_a_line_that_complains_is_shown_among_its_neighbours() -> None:
    lines = [line(second, event="turn failed" if second == 5 else "any") for second in range(9)]
    traced = [*lines[:6], "Traceback of the same", *lines[6:]]
    assert around(Violation("log", lines[5]), traced, []) == [
        *lines[3:6],
        "Traceback of the same",
        lines[6],
    ]


def test_what_is_shown_is_bounded() -> None:
    violation = Violation("usable", "x", CONVERSATION)
    lines = [line(1, workspace=CONVERSATION[2:], more="x" * 1000)] * 500
    shown = around(violation, lines, [])
    assert len(shown) == LINES_LIMIT
    assert {len(one) for one in shown} == {LINE_LIMIT_CHARS}


def test_a_line_without_a_time_has_none() -> None:
    for one in ("", "rehearsal: no model", "[1]", '{"listening": 1}', '{"time": "late"}', "1"):
        assert time_of(one) is None
