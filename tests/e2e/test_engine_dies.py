"""The engine goes away in the middle of a turn, and comes back."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.e2e.running import Hakoiri, data_of, hakoiri, usual_runtime
from tests.e2e.scripts import RUN
from tests.e2e.talk import Talk
from tests.e2e.test_failures import is_gapless, is_ready
from tests.engine import PrivateEngine, TestEngine, private_engine
from tests.waiting import until

from hakoiri.cli.api_client import ApiError

pytestmark = [pytest.mark.engine, pytest.mark.root]


def load(image: str, engine: TestEngine, own: PrivateEngine) -> None:
    """Give our own engine the image of the shared one."""
    with subprocess.Popen(
        ["docker", "--host", engine.docker_host, "save", image], stdout=subprocess.PIPE
    ) as saved:
        subprocess.run(
            ["docker", "--host", own.docker_host, "load", "--quiet"],
            stdin=saved.stdout,
            check=True,
            capture_output=True,
        )
    assert saved.returncode == 0


@pytest.fixture(scope="module")
def own_engine(engine: TestEngine, image: str) -> Iterator[PrivateEngine]:
    """An engine that the test may kill."""
    with private_engine() as own:
        load(image, engine, own)
        yield own


@pytest.fixture(scope="module")
def lasting_engine(engine: TestEngine, image: str) -> Iterator[PrivateEngine]:
    """One whose containers go on while it is away."""
    with private_engine(configuration={"live-restore": True}) as own:
        load(image, engine, own)
        yield own


@pytest.fixture
def server(own_engine: PrivateEngine, image: str, tmp_path: Path) -> Iterator[Hakoiri]:
    with hakoiri(
        tmp_path,
        docker_host=own_engine.docker_host,
        script=RUN,
        settings={"HAKOIRI_CONTAINER__IMAGE": image},
    ) as running:
        yield running


def test_a_turn_goes_on_in_another_container_when_an_engine_that_died_is_back(
    own_engine: PrivateEngine, server: Hakoiri
) -> None:
    conversation = server.conversation()
    talk = Talk(server, conversation, "run: echo kept > kept; sleep 600")
    talk.until_tool_runs()
    until(lambda: any((server.tree / box / "workspace/kept").exists() for box in server.boxes()))
    before = server.processes("hakoiri.host")
    own_engine.stop()
    with pytest.raises(ApiError, match=r"503: cannot ask the engine"):
        server.api.call("GET", "/ready")
    assert server.processes("hakoiri.host") == before
    own_engine.start()
    last = talk.end()
    assert last["type"] == "result", last
    (recovered,) = data_of(talk.events, "container_recovered")
    assert recovered["generation"] >= 2, "a start that failed while it was away counts too"
    assert recovered["lost_paths"] == []
    until(lambda: is_ready(server))
    after = server.turn(conversation, "run: cat kept")
    assert data_of(after, "tool_result")[0]["text"].strip() == "kept"
    assert is_gapless(server, conversation)


def test_a_turn_notices_nothing_of_an_engine_that_lets_its_containers_live(
    lasting_engine: PrivateEngine, image: str, tmp_path: Path
) -> None:
    with hakoiri(
        tmp_path,
        docker_host=lasting_engine.docker_host,
        script=RUN,
        settings={"HAKOIRI_CONTAINER__IMAGE": image},
    ) as server:
        conversation = server.conversation()
        talk = Talk(server, conversation, "run: until [ -e go ]; do sleep 0.1; done; echo went")
        talk.until_tool_runs()
        lasting_engine.stop()
        lasting_engine.start()
        (box,) = server.boxes()
        (server.tree / box / "workspace/go").touch()
        last = talk.end()
        assert (last["type"], last["data"].get("text")) == ("result", "done: went")
        assert not data_of(talk.events, "container_recovered")
        until(lambda: is_ready(server))
        after = server.turn(conversation, "run: ls")
        assert data_of(after, "turn_started")[0]["container"] == box


def is_once(server: Hakoiri, conversation: str, text: str) -> bool:
    """Whether the model got the message once, and the live container is the only one."""
    asked = [entry for entry in server.model_requests() if text in entry["user_texts"]]
    assert [entry["reply"] for entry in asked] == [0, 1]
    assert {entry["user_texts"].count(text) for entry in asked} == {1}
    assert len(server.containers()) == len(server.boxes()) == 1
    return is_gapless(server, conversation)


@contextmanager
def held_still(engine: PrivateEngine) -> Iterator[None]:
    """Let the engine answer nobody, without a connection that breaks."""
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(engine.pid, signal.SIGCONT)


def test_a_warm_claim_and_its_turn_ask_the_engine_nothing(
    own_engine: PrivateEngine, image: str, tmp_path: Path
) -> None:
    with hakoiri(
        tmp_path,
        docker_host=own_engine.docker_host,
        script=RUN,
        settings={"HAKOIRI_CONTAINER__IMAGE": image, "HAKOIRI_WARM_POOL__MIN": "1"},
    ) as server:
        until(lambda: warm_pool_state(server) == "full")
        conversation = server.conversation()
        with held_still(own_engine):
            events = server.turn(conversation, "run: echo warm")
        assert data_of(events, "turn_started")[0]["start"] == "warm"
        assert data_of(events, "tool_result")[0]["text"].strip() == "warm"
        assert events[-1]["type"] == "result", events[-1]


def warm_pool_state(server: Hakoiri) -> str:
    return str(server.api.call("GET", "/v1/pool")["runtimes"][usual_runtime()]["state"])


def test_a_first_message_waits_for_an_engine_that_is_started_again(
    own_engine: PrivateEngine, server: Hakoiri
) -> None:
    conversation = server.conversation()
    own_engine.stop()
    try:
        talk = Talk(server, conversation, "run: echo first")
        until(lambda: bool(data_of(list(talk.events), "queued")))
    finally:
        own_engine.start()
    last = talk.end()
    assert (last["type"], last["data"].get("text")) == ("result", "done: first")
    (queued,) = data_of(talk.events, "queued")
    assert (queued["reason"], queued["limit_s"]) == ("services", 60)
    assert is_once(server, conversation, "run: echo first")


def test_a_first_message_waits_for_an_engine_that_goes_in_the_midst_of_the_start(
    own_engine: PrivateEngine, server: Hakoiri
) -> None:
    conversation = server.conversation()
    talk = Talk(server, conversation, "run: echo first")
    try:
        until(lambda: bool(server.boxes()))
        own_engine.stop()
    finally:
        own_engine.start()
    last = talk.end()
    assert (last["type"], last["data"].get("text")) == ("result", "done: first")
    assert is_once(server, conversation, "run: echo first")


def test_first_messages_wait_for_a_guard_and_a_proxy_that_were_killed(server: Hakoiri) -> None:
    for module in ("hakoiri.docker_guard", "hakoiri.credential_proxy"):
        conversation = server.conversation()
        for pid in server.processes(module, with_spares=True):
            os.kill(pid, signal.SIGKILL)
        last = server.turn(conversation, "run: echo first")[-1]
        assert (last["type"], last["data"].get("text")) == ("result", "done: first"), module
        server.api.call("DELETE", f"/v1/conversations/{conversation}")
        until(lambda: not server.boxes())
