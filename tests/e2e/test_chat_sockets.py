"""A chat's way out ends with its turn, however that ended."""

import os
import signal
from collections.abc import Iterator

import pytest
from tests.e2e.running import Hakoiri, hakoiri
from tests.e2e.scripts import RUN, SLOW
from tests.e2e.talk import Talk
from tests.e2e.test_failures import is_ready
from tests.engine import TestEngine
from tests.waiting import until

pytestmark = [pytest.mark.engine, pytest.mark.root]

MODEL = "anthropic.claude-rehearsal-v1:0"
SERVER, PROXY = "hakoiri.host", "hakoiri.credential_proxy"


@pytest.fixture(scope="module")
def server(
    engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hakoiri]:
    with hakoiri(
        tmp_path_factory.mktemp("chat-sockets"),
        docker_host=engine.docker_host,
        script=RUN + SLOW,
        settings={"HAKOIRI_CONTAINER__IMAGE": image},
    ) as running:
        yield running


def sockets(server: Hakoiri) -> list[str]:
    return sorted(path.name for path in (server.run_dir / "proxy").glob("chat-*"))


def test_a_server_that_is_killed_in_a_chats_turn_leaves_its_way_out_open_to_nobody(
    server: Hakoiri,
) -> None:
    conversation = server.conversation(kind="chat", model=MODEL)
    talk = Talk(server, conversation, "speak slowly")
    talk.until_seen("text_delta")
    assert sockets(server) == [f"chat-{conversation}"]
    (old,) = server.processes(SERVER)
    proxies = server.processes(PROXY)
    os.kill(old, signal.SIGKILL)
    talk.end()
    until(lambda: server.processes(SERVER) not in ([], [old]) and is_ready(server))
    assert server.processes(PROXY) == proxies, "the proxy outlived the server"
    assert sockets(server) == []
    assert server.log(conversation)[-1]["type"] == "error"
    again = Talk(server, conversation, "speak slowly")
    again.until_seen("text_delta")
    assert sockets(server) == [f"chat-{conversation}"], "the next turn has a socket of its own"
    assert again.end()["type"] == "result"
    until(lambda: sockets(server) == [])
