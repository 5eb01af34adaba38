"""A later message to a workspace that was frozen meanwhile: how long until the model hears of it.

One conversation, whose container is frozen after a second of silence. In each round a message right
after the last turn, to the container awake, and one when the engine says that it is frozen, so that
what thawing costs can be told from what the machine does. Clocks are the host's wall clock.
"""

import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from tests.e2e.running import Hakoiri, hakoiri
from tests.e2e.scripts import RUN

from benchmarks.orchestrator_bars import lines_of
from benchmarks.report import Report
from hakoiri.cli.workspace_image import workspace_image
from hakoiri.host.settings import DEFAULT_DOCKER_HOST

FREEZE_TIMEOUT_S: Final = 60.0
AWAKE: Final = "awake: message to first model request"
FROZEN: Final = "frozen: message to first model request"


@dataclass(frozen=True, slots=True)
class Sleeper:
    """A server, and a conversation whose container is frozen as soon as nothing is said."""

    server: Hakoiri
    conversation: str

    def messages(self, report: Report) -> None:
        """Add a message to the container awake, and one when it is frozen."""
        for name in (AWAKE, FROZEN):
            if name == FROZEN:
                _until_frozen(self.server)
            text = f"{name} {secrets.token_hex(4)}"
            report.add(name, message_ms(self.server, self.conversation, text))


@contextmanager
def sleeper() -> Iterator[Sleeper]:
    """Start a server with the one conversation."""
    with (
        tempfile.TemporaryDirectory(prefix="hakoiri-bench-") as name,
        hakoiri(
            Path(name),
            docker_host=os.environ.get("HAKOIRI_DOCKER_HOST", DEFAULT_DOCKER_HOST),
            script=RUN,
            settings={
                "HAKOIRI_CONTAINER__IMAGE": workspace_image(),
                "HAKOIRI_CONTAINER__PAUSE_AFTER_S": "1",
            },
        ) as server,
    ):
        conversation = server.conversation()
        server.turn(conversation, "run: echo begun > begun")
        yield Sleeper(server, conversation)


def measure(samples: int, *, say: Callable[[str], None]) -> Report:
    """Measure; the first round warms caches and is not counted."""
    report = Report("A later message to a frozen workspace", baseline=AWAKE)
    with sleeper() as one:
        for number in range(samples + 1):
            say(f"round {number} of {samples}")
            one.messages(report if number else Report("warm-up"))
    report.lines = lines_of(report)
    return report


def message_ms(server: Hakoiri, conversation: str, text: str) -> float:
    """Send a message that nobody sent before; return when the model's first request came."""
    posted_s = time.time()
    last = server.turn(conversation, text)[-1]
    if last["type"] != "result":
        raise RuntimeError(f"the turn failed: {last}")
    times_s = [
        datetime.fromisoformat(entry["time"]).timestamp()
        for entry in server.model_requests()
        if entry["user_text"] == text
    ]
    return (min(times_s) - posted_s) * 1000


def _until_frozen(server: Hakoiri) -> None:
    deadline_s = time.monotonic() + FREEZE_TIMEOUT_S
    while True:
        states = [server.inspect(one)["State"] for one in server.containers()]
        if states and all(state["Paused"] for state in states):
            return
        if time.monotonic() > deadline_s:
            raise RuntimeError("the container was not frozen")
        time.sleep(0.1)
