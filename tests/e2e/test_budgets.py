"""The real agent under a budget: a turn over it ends at once, in words; other workspaces go on."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.running import Hakoiri, prepare
from tests.e2e.scripts import RUN
from tests.engine import TestEngine
from tests.waiting import until

pytestmark = [pytest.mark.engine, pytest.mark.root]

PRICES = """
[prices."*"]
input = 1000
output = 0
cache_write = 1000
cache_read = 1000
"""
"""Output is free, since the agent asks for more of it than it uses; the stand-in takes a token of
input for four bytes of a body, of which as many as it has bytes are reserved."""


@pytest.fixture(scope="module")
def server(
    engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hakoiri]:
    made = prepare(
        tmp_path_factory.mktemp("budgets"),
        docker_host=engine.docker_host,
        script=RUN,
        settings={"HAKOIRI_CONTAINER__IMAGE": image},
    )
    (made.root / "proxy" / "proxy.toml").write_text(PRICES)
    with made.server:
        yield made


class _Control(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("proxy")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))


def spend_of_workspaces(server: Hakoiri) -> list[dict[str, Any]]:
    """What the proxy says that each workspace has spent, the largest first."""
    connection = _Control(server.run_dir / "proxy" / "control.sock")
    with closing(connection):
        connection.request("GET", "/budgets", headers={"Host": "proxy"})
        told = json.load(connection.getresponse())
    return [use for use in told["holders"] if use["kind"] == "workspace"]


def reserved(server: Hakoiri) -> list[int]:
    return [use["spend_microusd_reserved"] for use in spend_of_workspaces(server)]


def test_a_turn_over_the_budget_ends_at_once_in_words_and_another_workspace_goes_on(
    server: Hakoiri,
) -> None:
    conversation = server.conversation()
    first = server.turn(conversation, "hello")
    assert first[-1]["type"] == "result", first[-1]
    until(lambda: reserved(server) == [0])
    [use] = spend_of_workspaces(server)
    spent = use["spend_microusd"]
    assert spent > 0
    # a first call needs four times what it takes in the end, a second one a fifth on top
    policy = server.api.call("GET", "/v1/policies/default")
    policy["budget"] = {"spend_usd_per_day": spent * 4.5 / 1e6}
    server.api.call("PUT", "/v1/policies/default", policy)

    asked_before = len(server.model_requests())
    last = server.turn(conversation, "hello again")[-1]
    assert last["type"] == "error"
    assert last["data"]["code"] == "over-budget"
    assert last["data"]["retryable"] is False
    assert "is over its budget spend_usd_per_day: the limit is" in last["data"]["text"]
    assert "it begins anew at" in last["data"]["text"]
    assert len(server.model_requests()) == asked_before
    kinds = [event["type"] for event in server.log(conversation)]
    assert "notice" not in kinds, "the agent does not try again"

    other = server.conversation()
    assert server.turn(other, "hello")[-1]["type"] == "result"
    until(lambda: reserved(server) == [0, 0])
