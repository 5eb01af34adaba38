"""A proxy that is killed is back at once, for every container, and the agent notices little."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.e2e.running import Hakoiri, data_of, hakoiri
from tests.e2e.scripts import RUN
from tests.engine import TestEngine

from hakoiri.cli.api_client import ApiError

pytestmark = [pytest.mark.engine, pytest.mark.root]

PROXY = "hakoiri.credential_proxy"
WORDS = " ".join(f"word{number}" for number in range(60))
SCRIPT = (
    RUN
    + f"""
  - name: slow
    when: {{ regex: '^speak slowly$' }}
    replies:
      - say: {WORDS}
        delta_delay_s: 0.05
"""
)
WAIT_S = 60.0
REBIND_LIMIT_S = 15.0
"""Generous, for a machine that does much else; the time itself is printed."""


@pytest.fixture(scope="module")
def server(
    engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hakoiri]:
    with hakoiri(
        tmp_path_factory.mktemp("supervision"),
        docker_host=engine.docker_host,
        script=SCRIPT,
        settings={"HAKOIRI_CONTAINER__IMAGE": image},
    ) as running:
        yield running


def until(condition: Callable[[], object]) -> None:
    """Wait for something that another process does; fail if it never does."""
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline_s, "it never came"
        time.sleep(0.01)


class Turn:
    """A turn that runs while the test does something to it."""

    def __init__(self, server: Hakoiri, conversation: str, text: str) -> None:
        self.events: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._listen, args=(server, conversation, text))
        self._thread.start()

    def _listen(self, server: Hakoiri, conversation: str, text: str) -> None:
        for event in server.api.send(conversation, text):
            self.events.append(event)  # noqa: PERF402 - others look at what has come so far

    def until_seen(self, kind: str, count: int = 1) -> None:
        until(lambda: len(data_of(list(self.events), kind)) >= count)

    def end(self) -> dict[str, Any]:
        self._thread.join(WAIT_S * 3)
        assert not self._thread.is_alive()
        return self.events[-1]


def kill_proxy(server: Hakoiri) -> float:
    """Kill the proxy with no chance to say anything; return when."""
    (pid,) = server.processes(PROXY)
    killed_at_s = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    return killed_at_s


def rebinds(server: Hakoiri) -> list[dict[str, Any]]:
    """What the server told of each proxy that came back."""
    return server.server_log("proxy_back")


def test_a_turn_whose_model_stream_is_cut_by_a_kill_ends_in_its_result(server: Hakoiri) -> None:
    conversation = server.conversation()
    told = len(rebinds(server))
    turn = Turn(server, conversation, "speak slowly")
    turn.until_seen("text_delta", 5)
    asked = len(server.model_requests())
    killed_at_s = kill_proxy(server)
    until(lambda: len(rebinds(server)) > told)
    took_s = time.monotonic() - killed_at_s
    last = turn.end()
    assert last["type"] == "result", last
    assert len(server.model_requests()) > asked, "the CLI asked again"
    final = data_of(turn.events, "result")[0]
    print(f"\nfrom the kill to every socket bound again: {took_s:.2f} s; {rebinds(server)[-1]}")
    assert took_s < REBIND_LIMIT_S
    print(turn.events[-5:], final)
