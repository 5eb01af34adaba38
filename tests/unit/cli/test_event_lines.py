from typing import get_args

import pytest

from hakoiri.cli.event_lines import Line, line_of
from hakoiri.cli.event_printer import STREAMED
from hakoiri.wire.events import EventType


@pytest.mark.parametrize("kind", sorted(set(get_args(EventType)) - set(STREAMED)))
def test_each_kind_of_event_is_told_even_if_the_server_is_of_another_version(kind: str) -> None:
    line = line_of(kind, {"container": "c1"})
    assert line is not None
    assert line.label or kind == "tool_result"


def test_a_kind_that_is_not_known_is_left_out_and_so_is_the_start_of_a_chat() -> None:
    assert line_of("from_the_future", {}) is None
    assert line_of("turn_started", {"container": None}) is None


def test_a_recovery_tells_why_and_what_was_lost() -> None:
    data = {
        "generation": 3,
        "reason": "the container ended",
        "restored_seq": 7,
        "lost_paths": [f"f{number}" for number in range(7)],
    }
    line = line_of("container_recovered", data)
    assert line == Line(
        "again",
        "the container was lost (the container ended); a new one goes on, generation 3; "
        "lost: f0, f1, f2, f3, f4 and 2 more",
        "magenta",
    )


def test_what_was_not_saved_is_told() -> None:
    data = {
        "recovery_point": "rp-1",
        "uploaded": 2,
        "uploaded_bytes": 2048,
        "deleted": 1,
        "kept": 4,
        "left_out": ["big.bin: too large"],
    }
    line = line_of("file_synced", data)
    assert line is not None
    assert line.words == "rp-1 (2 written, 2.0 KiB, 1 gone); not saved: big.bin: too large"


def test_a_tool_that_failed_says_so_and_what_was_cut_too() -> None:
    line = line_of("tool_result", {"text": "no\n", "is_error": True, "truncated": True})
    assert line == Line("failed", "no\n(cut here)", "red")
    assert line_of("tool_result", {"text": ""}) == Line("", "(no output)")


def test_a_turn_that_ended_unusually_says_how() -> None:
    line = line_of("result", {"duration_ms": 500, "stop_reason": "max_tokens"})
    assert line is not None
    assert line.words == "0.5 s; ended by max_tokens"
