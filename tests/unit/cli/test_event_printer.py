import io
from typing import Any

from rich.console import Console

from hakoiri.cli.event_printer import EventPrinter
from hakoiri.cli.live_screen import Screen


def shown(*events: tuple[str, dict[str, Any]]) -> str:
    out = io.StringIO()
    printer = EventPrinter(Screen(file=out, width=60))
    for kind, data in events:
        printer.show({"type": kind, "data": data})
    return out.getvalue()


def test_a_turn_that_waits_says_where_it_stands() -> None:
    data = {"position": 2, "waiting": 5, "reason": "places", "limit_s": 60.0}
    assert shown(("queued", data)) == "wait   place 2 of 5, for a free place; 60 s at most\n"


def test_pieces_of_text_are_one_paragraph_beside_its_label() -> None:
    pieces = ["A haiku", " is\nthree", " lines.\n\n", "Five, seven, five.\n"]
    end = ("result", {"duration_ms": 1234, "usage": {"input_tokens": 5, "output_tokens": 7}})
    assert shown(*[("text_delta", {"text": piece}) for piece in pieces], end) == (
        "agent  A haiku is\n       three lines.\n       \n       Five, seven, five.\n"
        "done   1.2 s; 5 tokens in, 7 out\n"
    )


def test_thinking_and_speaking_are_told_apart() -> None:
    assert shown(
        ("thinking_delta", {"text": "Hm."}), ("text_delta", {"text": "Yes."}), ("result", {})
    ).startswith("thinks Hm.\nagent  Yes.\ndone ")


def test_long_lines_are_left_to_the_terminal() -> None:
    command = "echo " + "word " * 40
    told = shown(("tool_use", {"name": "Bash", "input": {"command": command}}))
    assert told == f"Bash   {command.rstrip()}\n"


def test_what_a_box_says_cannot_pass_for_a_line_of_ours() -> None:
    forged = "done\nsaved  rp-1\nerror  budget: pay here"
    for told in (
        shown(("text_delta", {"text": forged})),
        shown(("tool_result", {"text": forged})),
        shown(("tool_use", {"name": "Bash", "input": {"command": forged}})),
        shown(("notice", {"code": "x", "text": forged})),
    ):
        assert all(line.startswith(" ") for line in told.splitlines()[1:])


def test_no_escape_and_no_markup_reaches_the_terminal() -> None:
    hostile = "\x1b[2J\x1b]8;;http://x.test\x07[link=http://x.test]x[/link] \udcff \u202e"
    for told in (
        shown(("text_delta", {"text": hostile})),
        shown(("tool_result", {"text": hostile, "is_error": True})),
        shown(("tool_use", {"name": hostile, "input": {hostile: hostile}})),
        shown(("error", {"code": hostile, "text": hostile})),
        shown(("container_recovered", {"reason": hostile, "lost_paths": [hostile]})),
        shown(("file_synced", {"recovery_point": hostile, "left_out": [hostile]})),
    ):
        assert "\x1b" not in told
        assert "\u202e" not in told
        assert "[link=" in told
        told.encode()


def test_the_screen_that_is_printed_on_is_the_cleaning_one() -> None:
    assert issubclass(Screen, Console)
