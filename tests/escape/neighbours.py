"""One workspace misbehaves while another works: both turns, told apart."""

import json
import subprocess
import time
from dataclasses import dataclass
from typing import Any, Final

from tests.e2e.running import Hakoiri, data_of
from tests.e2e.talk import Talk
from tests.escape.installation import Installation

QUESTION: Final = "run: echo the answer is $((6 * 7)) | tee answer.txt"
ANSWER: Final = "the answer is 42"


@dataclass(frozen=True, slots=True)
class Charged:
    """What the kernel has charged a container's control group for, and when it was asked."""

    at_s: float
    processor_s: float
    throttled: int
    """Periods in which it was kept from running by its limit."""


@dataclass(frozen=True, slots=True)
class Beside:
    """The events of the hostile turn, how the neighbour's answer was, and what the first used.

    `processors` is how many of them it had while its command ran, and `throttled` in how many
    periods it was held back from more; None where its container is gone.
    """

    events: list[dict[str, Any]]
    neighbour: str
    processors: float | None = None
    throttled: int = 0


def answer_of(place: Installation, conversation: str) -> str:
    """Have a turn that writes a file; return `right`, or how it went wrong."""
    events = place.server.turn(conversation, QUESTION)
    if events[-1]["type"] != "result":
        return f"{events[-1]['data']}"
    said = data_of(events, "tool_result")[0]["text"].strip()
    return "right" if said == ANSWER else said


def beside(place: Installation, command: str) -> Beside:
    """Run a command in one workspace and, while it runs, a turn in another, live one."""
    hostile, neighbour = place.server.conversation(), place.server.conversation()
    assert answer_of(place, neighbour) == "right"
    talk = Talk(place.server, hostile, f"run: {command}")
    talk.until_tool_runs()
    container = data_of(list(talk.events), "turn_started")[0]["container"]
    before = charged(place.server, container)
    seen = answer_of(place, neighbour)
    talk.end()
    after = charged(place.server, container)
    for one in (hostile, neighbour):
        place.server.api.call("DELETE", f"/v1/conversations/{one}")
    if before is None or after is None:
        return Beside(talk.events, seen)
    processors = (after.processor_s - before.processor_s) / (after.at_s - before.at_s)
    return Beside(talk.events, seen, processors, after.throttled - before.throttled)


def charged(server: Hakoiri, container: str) -> Charged | None:
    """Ask the engine what a container used until now; None if it is gone."""
    path = f"/v1.41/containers/hakoiri-{container}/stats?stream=false&one-shot=true"
    socket = server.docker_host.removeprefix("unix://")
    asked = subprocess.run(
        ["curl", "-sf", "--unix-socket", socket, f"http://engine{path}"],
        check=False,
        capture_output=True,
    )
    told = json.loads(asked.stdout or "{}").get("cpu_stats", {})
    used_ns = told.get("cpu_usage", {}).get("total_usage", 0)
    if not used_ns:
        return None
    throttled: int = told["throttling_data"]["throttled_periods"]
    return Charged(time.monotonic(), used_ns / 1e9, throttled)
