"""At the limit turns and commands wait in a fair line, are told where, and not without end."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from tests import waiting
from tests.e2e.running import Hakoiri, data_of, hakoiri
from tests.e2e.scripts import RUN
from tests.e2e.test_tenants import bearer, key_command
from tests.engine import TestEngine

from hakoiri.cli.api_client import ApiClient, ApiError

pytestmark = [pytest.mark.engine, pytest.mark.root]

WAIT_S = 90.0
until = partial(waiting.until, wait_s=WAIT_S)
LINE_S = 30
"""How long a claim may wait on this server."""

HOLD = "run: until [ -e go ]; do sleep 0.05; done; echo over"


@dataclass(frozen=True, slots=True)
class Queueing:
    """A server with one place and a line for two, one of each tenant; two tenants' keys."""

    server: Hakoiri
    shop: str
    bank: str

    def api(self, key: str) -> ApiClient:
        return ApiClient(f"http://127.0.0.1:{self.server.server.port}", key=key)

    def post(self, key: str, path: str, body: Any) -> tuple[int, dict[str, str], Any]:
        """Send a request as it is; return status, headers and document."""
        with closing(HTTPConnection("127.0.0.1", self.server.server.port, timeout=60)) as sent:
            headers = {"Content-Type": "application/json", **bearer(key)}
            sent.request("POST", path, body=json.dumps(body), headers=headers)
            answer = sent.getresponse()
            document = json.loads(answer.read())
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, document

    def say(self, key: str, conversation: str, text: str) -> tuple[int, dict[str, str], Any]:
        return self.post(key, f"/v1/conversations/{conversation}/messages", {"text": text})


class Turn:
    """A turn that is watched from the side, from its message on."""

    def __init__(self, api: ApiClient, text: str) -> None:
        self.api = api
        self.conversation: str = api.call("POST", "/v1/conversations", {})["id"]
        self.events: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._watch, args=(text,), daemon=True)
        self._thread.start()

    def _watch(self, text: str) -> None:
        with suppress(ApiError):  # the server went away; what came is judged
            for event in self.api.send(self.conversation, text):
                self.events.append(event)

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    def until(self, kind: str) -> None:
        until(lambda: kind in self.types, f"{kind} of {self.conversation}")

    def ended(self) -> dict[str, Any]:
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        return self.events[-1]

    def let_go(self) -> None:
        """Let the command that this turn runs end."""
        self.api.upload(
            f"/v1/conversations/{self.conversation}/workspace/files/go", iter([b""]), size=0
        )


@pytest.fixture(scope="module")
def town(
    engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Queueing]:
    root: Path = tmp_path_factory.mktemp("queue")
    shop = key_command(root, "create", "the shop's", "--tenant", "shop")["key"]
    bank = key_command(root, "create", "the bank's", "--tenant", "bank")["key"]
    with hakoiri(
        root,
        docker_host=engine.docker_host,
        script=RUN,
        settings={
            "HAKOIRI_CONTAINER__IMAGE": image,
            "HAKOIRI_CONTAINER__LIMIT": "1",
            "HAKOIRI_ADMISSION__QUEUE_LIMIT": "2",
            "HAKOIRI_ADMISSION__TENANT_LIMIT": "1",
            "HAKOIRI_ADMISSION__WAIT_S": str(LINE_S),
        },
        key=shop,
    ) as running:
        yield Queueing(running, shop, bank)
    assert running.containers() == []
    assert running.boxes() == []


def test_turns_of_two_tenants_wait_are_told_where_and_run_in_their_turn(town: Queueing) -> None:
    first = Turn(town.api(town.shop), HOLD)
    first.until("tool_use")
    second = Turn(town.api(town.shop), "run: echo second")
    second.until("queued")
    third = Turn(town.api(town.bank), "run: echo third")
    third.until("queued")

    late = town.api(town.bank).call("POST", "/v1/conversations", {})["id"]
    status, headers, problem = town.say(town.bank, late, "run: echo late")
    assert (status, problem["type"].rpartition(":")[2]) == (503, "capacity")
    assert 1 <= int(headers["retry-after"]) <= 300
    shown = town.api(town.bank).call("GET", f"/v1/conversations/{late}")
    assert (shown["last_event"], shown["running"]) == (0, False), "nothing was recorded"

    first.let_go()
    for turn in (first, second, third):
        assert turn.ended()["type"] == "result", turn.events[-1]
        assert [event["id"] for event in turn.events] == list(range(1, len(turn.events) + 1))
    assert [place["position"] for place in data_of(second.events, "queued")] == [1]
    positions = [place["position"] for place in data_of(third.events, "queued")]
    assert positions[0] == 2
    assert positions == sorted(positions, reverse=True)
    assert third.types.index("queued") < third.types.index("turn_started")
    assert second.events[-1]["time"] <= third.events[-1]["time"]
    assert town.say(town.bank, late, "run: echo late")[0] == 202
    until(
        lambda: not town.api(town.bank).call("GET", f"/v1/conversations/{late}")["running"],
        "the end of the turn that came again",
    )


def test_a_wait_has_an_end_and_an_interrupt_ends_it_at_once(town: Queueing) -> None:
    first = Turn(town.api(town.shop), HOLD)
    first.until("tool_use")
    waiting = Turn(town.api(town.shop), "run: echo never")
    waiting.until("queued")
    workspace = town.api(town.bank).call("POST", "/v1/workspaces", {})["id"]
    status, headers, problem = town.post(
        town.bank, f"/v1/workspaces/{workspace}/exec", {"argv": ["true"]}
    )
    assert (status, problem["type"].rpartition(":")[2]) == (503, "capacity")
    assert int(headers["retry-after"]) >= 1
    last = waiting.ended()
    assert (last["type"], last["data"]["code"], last["data"]["retryable"]) == (
        "error",
        "capacity",
        True,
    )
    interrupted = Turn(town.api(town.shop), "run: echo never")
    interrupted.until("queued")
    interrupted.api.call("POST", f"/v1/conversations/{interrupted.conversation}/interrupt")
    assert interrupted.ended()["data"]["code"] == "interrupted"
    assert not first.types.count("result"), "it was not waited for"
    first.let_go()
    assert first.ended()["type"] == "result"
