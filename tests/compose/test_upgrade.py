"""The stack's images are replaced, and put back, while a turn is at one thing or another."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from tests.compose.stack import WANTED, Stack, until
from tests.e2e.running import data_of

pytestmark = [
    pytest.mark.compose,
    pytest.mark.engine,
    pytest.mark.root,
    pytest.mark.timeout(1500),  # where nothing is cached, images are made first
]

OURS: Final = ("server", "docker-guard", "credential-proxy", "audit-keeper", "audit-reader")
END_S: Final = 180.0
"""A turn waits for over a minute for a proxy (ADR 42), and the proxy for the machine."""


class Turn:
    """A turn that was sent and that nobody reads while it runs."""

    def __init__(self, stack: Stack, text: str) -> None:
        self._stack = stack
        self.conversation = stack.conversation()
        path = f"/v1/conversations/{self.conversation}/messages"
        self.number = stack.api.call("POST", path, {"text": text})["turn"]

    def events(self) -> list[dict[str, Any]]:
        log = self._stack.log(self.conversation)
        assert [event["id"] for event in log] == list(range(1, len(log) + 1))
        return log

    def reaches(self, kind: str) -> None:
        """Wait for an event of the kind."""
        until(lambda: any(event["type"] == kind for event in self.events()))

    def ended(self) -> list[dict[str, Any]]:
        """Return the events of a turn that ended well; tell all there is to know of another."""
        path = f"/v1/conversations/{self.conversation}"
        deadline_s = time.monotonic() + END_S
        while self._stack.api.call("GET", path)["running"] and time.monotonic() < deadline_s:
            time.sleep(0.2)
        events = self.events()
        assert events[-1]["type"] == "result", self._stack.explained(events)
        return events


def upgrade(running: Stack, image: str) -> None:
    """Replace the containers by those of another image, as an operator does."""
    pids = {name: one["State"]["Pid"] for name, one in running.containers().items()}
    running.set(IMAGE=image)
    running.compose("up", "-d", *WANTED)
    until(running.is_healthy)
    containers = running.containers()
    for name in OURS:
        assert containers[name]["Config"]["Image"] == image
        assert containers[name]["State"]["Pid"] != pids[name]


def other_image(running: Stack) -> str:
    """The new version's where the old one runs, and the other way round."""
    here, there = ":before", ":after"
    image = running.variables["IMAGE"]
    return image.replace(here, there) if here in image else image.replace(there, here)


def waiting_turn(running: Stack) -> tuple[Turn, Path]:
    """Begin a turn whose tool waits for a file; return where that is to be put, too."""
    mark = f"go-{time.monotonic_ns()}"
    turn = Turn(running, f"wait for {mark}")
    found: list[Path] = []

    def is_there() -> bool:
        found.extend(place for place in running.workspaces() if (place / f"at-{mark}").exists())
        return bool(found)

    until(is_there)
    return turn, found[0] / mark


@pytest.mark.parametrize("way", ["there", "back"])
def test_a_turn_whose_tool_runs_outlives_an_upgrade_and_a_rollback(
    running: Stack,
    way: str,
) -> None:
    turn, go = waiting_turn(running)
    upgrade(running, other_image(running))
    go.touch()
    events = turn.ended()
    assert events[-1]["data"]["text"] == "done: went"
    assert [one["code"] for one in data_of(events, "notice")].count("turn-taken-up") == 1
    assert [event["type"] for event in events].count("tool_use") == 1
    assert "container_recovered" not in [event["type"] for event in events]


def is_sent(turn: Turn) -> None:
    """The message is taken, and no more: the box is being made."""
    assert turn.number == 1


def asks_the_model(turn: Turn) -> None:
    """A box is there, and its agent about to ask the model, or waiting for its first word."""
    turn.reaches("turn_started")


def answers(turn: Turn) -> None:
    """The model's answer has begun, and has seconds to go."""
    turn.reaches("text_delta")


def test_a_turn_that_calls_the_model_all_the_time_outlives_an_upgrade(running: Stack) -> None:
    turn = Turn(running, "work on")
    turn.reaches("tool_result")
    upgrade(running, other_image(running))
    events = turn.ended()
    assert events[-1]["data"]["text"] == "all steps done"
    assert len(data_of(events, "tool_result")) == 50
    assert "container_recovered" not in [event["type"] for event in events]


@pytest.mark.parametrize("until_then", [is_sent, asks_the_model, answers])
def test_a_turn_outlives_an_upgrade_at_any_moment(
    running: Stack, until_then: Callable[[Turn], None]
) -> None:
    turn = Turn(running, "speak slowly")
    until_then(turn)
    upgrade(running, other_image(running))
    events = turn.ended()
    assert events[-1]["data"]["text"].split()[-1] == "word39"
