"""An agent that was taken over, in a real container, against a real server."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.running import Hakoiri, data_of, hakoiri
from tests.e2e.test_failures import is_gapless
from tests.e2e.test_processes import SERVER, process
from tests.engine import TestEngine
from tests.escape.conftest import Tell
from tests.escape.hostile_agent import ENDLESS, turns
from tests.escape.hostile_image import hostile_image

from hakoiri.wire.guard import engine_name

pytestmark = [pytest.mark.engine, pytest.mark.root, pytest.mark.attack("taken-over-agent")]

HEALTH = ["silence", "another workspace", "an answer without end", "deep JSON"]
INSTEAD = [
    *("a link to the engine's socket", "a link to the proxy's socket", "a FIFO", "a directory"),
    *("a file", "a socket that nobody accepts at", "a datagram socket"),
]
GOOD = {"terminal escapes", "a length too long"}
"""Attacks on whoever reads the log, or a lie after the end: the turn itself ends well."""

TURN_LIMIT_S = 6
START_LIMIT_S = 5
ENDED_WITHIN_S = 60
GROWTH_LIMIT_MIB = 200
WATCHED_S = 15


@pytest.fixture(scope="module", params=["runc", "runsc"])
def hostile(
    request: pytest.FixtureRequest,
    engine: TestEngine,
    image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Hakoiri]:
    """A server all of whose agents are taken over."""
    settings = {
        "HAKOIRI_CONTAINER__RUNTIME": request.param,
        "HAKOIRI_TURN__TIMEOUT_S": str(TURN_LIMIT_S),
        "HAKOIRI_TURN__SILENCE_TIMEOUT_S": "3",
    }
    with hostile_image(image, docker_host=engine.docker_host) as tag:
        settings["HAKOIRI_CONTAINER__IMAGE"] = tag
        settings["HAKOIRI_CONTAINER__START_TIMEOUT_S"] = str(START_LIMIT_S)
        root = tmp_path_factory.mktemp(f"hostile-{request.param}")
        with hakoiri(root, docker_host=engine.docker_host, settings=settings) as running:
            yield running


def memory_mib(server: Hakoiri) -> int:
    lines = Path(f"/proc/{process(server, SERVER)}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmRSS:"))
    return int(line.split()[1]) // 1024


def judge(
    server: Hakoiri, conversation: str, message: str, *, may_end_well: bool
) -> tuple[str, bool]:
    """Have the hostile turn; return what was seen, and whether the server bore it."""
    pid, before_mib, began_s = process(server, SERVER), memory_mib(server), time.monotonic()
    last = server.turn(conversation, message)[-1]
    took_s, grown_mib = time.monotonic() - began_s, memory_mib(server) - before_mib
    other = server.conversation()
    bystander = server.turn(other, "hello")[-1]
    seen = last["data"]["code"] if last["type"] == "error" else last["type"]
    is_whole = is_gapless(server, conversation)
    for one in (conversation, other):
        server.api.call("DELETE", f"/v1/conversations/{one}")
    held = (
        last["type"] in ({"error", "result"} if may_end_well else {"error"})
        and took_s < ENDED_WITHIN_S
        and grown_mib < GROWTH_LIMIT_MIB
        and bystander["type"] == "result"
        and process(server, SERVER) == pid
        and is_whole
    )
    grown = f", {grown_mib} MiB more" if grown_mib >= GROWTH_LIMIT_MIB else ""
    return f"turn: {seen}; another conversation: {bystander['type']}{grown}", held


@pytest.mark.parametrize("attack", [*turns(), *ENDLESS, "a flood of events", "silence"])
def test_an_agent_that_lies_in_its_turn_hurts_nobody_else(
    hostile: Hakoiri, attack: str, tell: Tell
) -> None:
    seen, held = judge(
        hostile, hostile.conversation(), f"attack: {attack}", may_end_well=attack in GOOD
    )
    tell(
        f"answers a turn with {attack}",
        command="POST /turns, to an agent that lies",
        expected="the turn ends, in bounded time and memory; the next conversation's is right",
        seen=seen,
        held=held,
    )


@pytest.mark.parametrize(
    "attack", [*(f"health: {one}" for one in HEALTH), *(f"instead: {one}" for one in INSTEAD)]
)
def test_an_agent_that_lies_from_its_start_hurts_nobody_else(
    hostile: Hakoiri, attack: str, tell: Tell
) -> None:
    conversation = hostile.conversation()
    remembered = hostile.turn(conversation, f"remember: {attack}")
    assert remembered[-1]["type"] == "result"
    (started,) = data_of(remembered, "turn_started")
    hostile.docker("kill", engine_name(started["container"]))
    seen, held = judge(hostile, conversation, "hello", may_end_well=False)
    where, _, what = attack.partition(": ")
    tell(
        f"says of its health {what}" if where == "health" else f"{what} in place of agent.sock",
        command="GET /health, to an agent that lies",
        expected="no turn begins, within the time for a start; the next conversation's is right",
        seen=seen,
        held=held,
    )


def test_escapes_in_a_log_reach_no_terminal(hostile: Hakoiri, tell: Tell) -> None:
    conversation = hostile.conversation()
    last = hostile.turn(conversation, "attack: terminal escapes")[-1]
    assert "\x1b" in last["data"]["text"], "the log keeps what was said"
    command = [sys.executable, "-P", "-m", "hakoiri.cli", "conversation", "events", conversation]
    shown = subprocess.run(
        ["timeout", str(WATCHED_S), *command],
        env={
            "PATH": os.environ["PATH"],
            "HAKOIRI_URL": f"http://127.0.0.1:{hostile.server.port}",
        },
        cwd="/",
        capture_output=True,
        check=False,
    ).stdout.decode()
    assert "red" in shown
    raw = sorted({ord(c) for c in shown if (ord(c) < 32 and c != "\n") or c == "\u202e"})
    tell(
        "escapes in an answer, shown by the command line",
        command="hakoiri conversation events",
        expected="no control character is printed",
        seen=f"control characters: {raw or 'none'}",
        held=not raw,
    )


def test_the_servers_own_processes_wrote_no_control_characters(
    hostile: Hakoiri, tell: Tell
) -> None:
    raw = sorted({byte for byte in hostile.server.log.read_bytes() if byte < 32 and byte != 10})
    tell(
        "escapes in an answer, in the server's log",
        command="the log of all processes after the attacks above",
        expected="no control character is written",
        seen=f"control characters: {raw or 'none'}",
        held=hostile.server.log.stat().st_size > 1000 and not raw,
    )
