"""A proxy that is killed is back at once, for every container, and the agent notices little."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.e2e.running import Hakoiri, data_of, hakoiri
from tests.e2e.scripts import RUN
from tests.e2e.talk import Talk
from tests.engine import TestEngine
from tests.waiting import until

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
  - name: very slow
    when: {{ regex: '^speak very slowly$' }}
    replies:
      - say: {WORDS}
        delta_delay_s: 1
"""
)


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


def kill_proxy(server: Hakoiri) -> float:
    """Kill the proxy with no chance to say anything; return when."""
    until(lambda: len(server.processes(PROXY)) == 1)
    (pid,) = server.processes(PROXY)
    killed_at_s = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    return killed_at_s


@contextmanager
def standing_still(server: Hakoiri, module: str) -> Iterator[Callable[[], None]]:
    """Give what lets a process of the server stand still until the end of the block."""
    (pid,) = server.processes(module)
    try:
        yield lambda: os.kill(pid, signal.SIGSTOP)
    finally:
        os.kill(pid, signal.SIGCONT)


def times_asked(server: Hakoiri, text: str) -> int:
    """How often the model was asked for its answer to the text."""
    return sum(entry["user_text"] == text for entry in server.model_requests())


def spares(server: Hakoiri) -> set[int]:
    """The proxies that stand by."""
    return set(server.processes(PROXY, with_spares=True)) - set(server.processes(PROXY))


def rebinds(server: Hakoiri) -> list[dict[str, Any]]:
    """What the server told of each proxy that came back."""
    return server.server_log("proxy_back")


def report(server: Hakoiri, killed_at_s: float, told: int) -> None:
    """Wait for the next rebind, and print how long it took."""
    until(lambda: len(rebinds(server)) > told)
    took_s = time.monotonic() - killed_at_s
    print(f"\nkill to rebind: {took_s:.2f} s ({rebinds(server)[-1]['bound_again']} sockets)")  # noqa: T201 - measured


def test_a_turn_whose_model_stream_is_cut_by_a_kill_ends_in_its_result(server: Hakoiri) -> None:
    conversation = server.conversation()
    told = len(rebinds(server))
    until(lambda: spares(server))
    stood_by = spares(server)
    asked = times_asked(server, "speak slowly")
    with standing_still(server, "hakoiri.rehearsal") as stand_still:
        turn = Talk(server, conversation, "speak slowly")
        turn.until_seen("text_delta", 1)
        stand_still()  # else the answer may be whole before the kill
        killed_at_s = kill_proxy(server)
    report(server, killed_at_s, told)
    last = turn.end()
    assert last["type"] == "result", last
    assert last["data"]["text"] == WORDS
    assert times_asked(server, "speak slowly") > asked + 1, "the CLI asked again by itself"
    assert set(server.processes(PROXY)) == stood_by


def test_every_live_container_goes_on_after_a_kill(server: Hakoiri) -> None:
    conversations = [server.conversation() for _ in range(3)]
    told = len(rebinds(server))
    turns = [Talk(server, conversation, "speak slowly") for conversation in conversations]
    for turn in turns:
        turn.until_seen("text_delta", 1)
    report(server, kill_proxy(server), told)
    assert [turn.end()["data"].get("text") for turn in turns] == [WORDS] * 3
    assert rebinds(server)[-1]["bound_again"] >= 3
    later = [server.turn(conversation, "hello") for conversation in conversations]
    assert [events[-1]["type"] for events in later] == ["result"] * 3
    assert [container_of(events) for events in later] == [
        container_of(turn.events) for turn in turns
    ]


STREAM = """\
curl -sS -N -o /tmp/got http://127.0.0.1:3128/model/any/invoke-with-response-stream \
 -H 'Content-Type: application/json' -d '{"anthropic_version": "bedrock-2023-05-31", \
 "max_tokens": 500, "messages": [{"role": "user", "content": "speak very slowly"}]}' & \
until [ -s /tmp/got ]; do sleep 0.02; done; echo > streaming; wait $!; echo "curl ended with $?"
"""
PARTIAL_FILE, RECEIVE_FAILED = 18, 56
"""curl's own codes (curl(1), EXIT CODES)."""


def test_a_request_in_flight_ends_with_an_error_rather_than_short_or_never(
    server: Hakoiri,
) -> None:
    conversation = server.conversation()
    told, boxes = len(rebinds(server)), server.boxes
    turn = Talk(server, conversation, "run: " + STREAM)
    until(lambda: any((server.tree / box / "workspace/streaming").exists() for box in boxes()))
    report(server, kill_proxy(server), told)
    assert turn.end()["type"] == "result"
    said = data_of(turn.events, "tool_result")[0]["text"]
    assert any(f"curl ended with {code}" in said for code in (PARTIAL_FILE, RECEIVE_FAILED)), said


def test_a_proxy_that_dies_again_and_again_is_started_ever_later_and_health_says_so(
    server: Hakoiri,
) -> None:
    conversation = server.conversation()
    before = server.turn(conversation, "hello")
    deaths = len(delays(server))
    not_ready = []
    for death in range(deaths + 1, deaths + 6):
        kill_proxy(server)
        until(lambda: len(delays(server)) == death)  # noqa: B023 - waited for here
        not_ready.append(reasons(server))
    waited = delays(server)[deaths:]
    assert waited == sorted(set(waited)), "each time later"
    assert any("the credential proxy does not answer" in told for told in not_ready)
    until(lambda: not reasons(server))
    after = server.turn(conversation, "hello")
    assert after[-1]["type"] == "result"
    assert container_of(after) == container_of(before)


def delays(server: Hakoiri) -> list[float]:
    """How long the supervisor waited before each restart of the proxy, as it told."""
    log = server.server.log.read_text(errors="replace")
    told = re.findall(r"process_died.*process=credential_proxy.*restart_in_s=([0-9.]+)", log)
    return [float(delay) for delay in told]


def reasons(server: Hakoiri) -> str:
    """Why the server says that it is not ready; empty when it is."""
    try:
        server.api.call("GET", "/ready")
    except ApiError as error:
        return str(error)
    return ""


def container_of(events: list[dict[str, Any]]) -> str:
    name: str = data_of(events, "turn_started")[0]["container"]
    return name
