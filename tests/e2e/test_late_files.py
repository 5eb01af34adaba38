"""What a process writes after its turn has ended is there in the next container."""

from collections.abc import Iterator

import pytest
from tests.e2e.running import Hakoiri, data_of, hakoiri
from tests.e2e.scripts import RUN
from tests.e2e.test_failures import container_of
from tests.engine import TestEngine
from tests.waiting import until

from hakoiri.wire.guard import engine_name

pytestmark = [pytest.mark.engine, pytest.mark.root]

IDLE_S = 8
WAITS = "until [ -e go ]; do sleep 0.1; done; sleep 1; echo late > late"
LATE = f"run: touch waits; setsid sh -c '{WAITS}' > /dev/null 2>&1 & echo on"
"""Writes when it is told to: after the turn has ended, and was saved."""


@pytest.fixture(scope="module", params=["runc", "runsc"])
def server(
    engine: TestEngine,
    image: str,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Hakoiri]:
    with hakoiri(
        tmp_path_factory.mktemp("late"),
        docker_host=engine.docker_host,
        script=RUN,
        settings={
            "HAKOIRI_CONTAINER__IMAGE": image,
            "HAKOIRI_CONTAINER__RUNTIME": request.param,
            "HAKOIRI_CONTAINER__IDLE_TIMEOUT_S": str(IDLE_S),
            "HAKOIRI_CONTAINER__LIMIT": "1",
        },
    ) as running:
        yield running


def left_behind(server: Hakoiri) -> tuple[str, str]:
    """A conversation whose turn left something that writes, once it has; and its container."""
    conversation = server.conversation()
    container = container_of(server.turn(conversation, LATE))
    workspace = server.tree / container / "workspace"
    assert (workspace / "waits").exists()
    assert not (workspace / "late").exists()
    (workspace / "go").touch()
    until((workspace / "late").exists)
    return conversation, container


def late(server: Hakoiri, conversation: str) -> str:
    """What the next container has of it."""
    events = server.turn(conversation, "run: cat late")
    assert data_of(events, "turn_started")[0]["start"] != "live"
    text: str = data_of(events, "tool_result")[0]["text"]
    return text.strip()


def test_a_container_that_idled_for_too_long(server: Hakoiri) -> None:
    conversation, _ = left_behind(server)
    until(lambda: server.containers() == [])
    assert late(server, conversation) == "late"


def test_a_container_whose_place_was_needed(server: Hakoiri) -> None:
    conversation, _ = left_behind(server)
    other = server.turn(server.conversation(), "run: echo other")
    assert container_of(other)
    assert late(server, conversation) == "late"


def test_a_stop(server: Hakoiri) -> None:
    conversation, _ = left_behind(server)
    server.server.stop()
    assert server.boxes() == []
    assert server.mounts() == []
    server.server.start()
    server.server.until_ready()
    assert late(server, conversation) == "late"


def test_a_container_that_died_before_anybody_looked(server: Hakoiri) -> None:
    conversation, container = left_behind(server)
    server.docker("kill", engine_name(container))
    assert late(server, conversation) == "late"
