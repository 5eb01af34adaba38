"""One workspace misbehaves while another works: both turns, told apart."""

from typing import Any, Final

from tests.e2e.running import data_of
from tests.e2e.talk import Talk
from tests.escape.installation import Installation

QUESTION: Final = "run: echo the answer is $((6 * 7)) | tee answer.txt"
ANSWER: Final = "the answer is 42"


def answer_of(place: Installation, conversation: str) -> str:
    """Have a turn that writes a file; return `right`, or how it went wrong."""
    events = place.server.turn(conversation, QUESTION)
    if events[-1]["type"] != "result":
        return f"{events[-1]['data']}"
    said = data_of(events, "tool_result")[0]["text"].strip()
    return "right" if said == ANSWER else said


def beside(place: Installation, command: str) -> tuple[list[dict[str, Any]], str]:
    """Run a command in one workspace and, while it runs, a turn in another, live one.

    Returns the first's events and how the neighbour's answer was.
    """
    hostile, neighbour = place.server.conversation(), place.server.conversation()
    assert answer_of(place, neighbour) == "right"
    talk = Talk(place.server, hostile, f"run: {command}")
    talk.until_tool_runs()
    seen = answer_of(place, neighbour)
    talk.end()
    for one in (hostile, neighbour):
        place.server.api.call("DELETE", f"/v1/conversations/{one}")
    return talk.events, seen
