"""Servers that go away in the middle of a turn: the next one goes on with it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.running import Hakoiri, data_of, hakoiri
from tests.e2e.scripts import RUN
from tests.e2e.talk import Talk
from tests.e2e.test_failures import container_of, is_gapless, is_ready
from tests.e2e.test_recovery import said_to_the_model, workspace_of
from tests.engine import TestEngine
from tests.waiting import until

pytestmark = [pytest.mark.engine, pytest.mark.root]

SERVER = "hakoiri.host"


@pytest.fixture(scope="module")
def server(
    engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hakoiri]:
    with hakoiri(
        tmp_path_factory.mktemp("adoption"),
        docker_host=engine.docker_host,
        script=RUN,
        settings={"HAKOIRI_CONTAINER__IMAGE": image},
    ) as running:
        yield running


class WaitingTurn:
    """A turn whose tool waits for a file that the test puts there."""

    def __init__(self, server: Hakoiri) -> None:
        self.server = server
        self.conversation = server.conversation()
        mark = f"mark-{self.conversation}"
        self.text = f"run: touch {mark}; until [ -e go ]; do sleep 0.1; done; echo went"
        self.talk = Talk(server, self.conversation, self.text)
        self.talk.until_tool_runs()
        until(self.is_waiting)
        self.container = container_of(self.log())

    def is_waiting(self) -> bool:
        mark = f"mark-{self.conversation}"
        boxes = self.server.boxes()
        return any((self.server.tree / box / "workspace" / mark).exists() for box in boxes)

    def log(self) -> list[dict[str, Any]]:
        return self.server.log(self.conversation)

    def let_go(self) -> None:
        (workspace_of(self.server, self.conversation) / "go").touch()

    def end(self) -> list[dict[str, Any]]:
        """All events, when the turn has ended under the new server."""
        path = f"/v1/conversations/{self.conversation}"
        until(lambda: not self.server.api.call("GET", path)["running"])
        return self.log()

    def check_went_on(self, *, taken_up: int = 1) -> None:
        """It ended well, in its container, and nothing was lost or came twice."""
        events = self.end()
        last = events[-1]
        assert last["type"] == "result", last
        assert last["data"]["text"] == "done: went"
        assert [event["type"] for event in events].count("tool_use") == 1
        assert [event["type"] for event in events].count("tool_result") == 1
        codes = [data["code"] for data in data_of(events, "notice")]
        assert codes.count("turn-taken-up") == taken_up
        assert "container_recovered" not in [event["type"] for event in events]
        assert set(said_to_the_model(self.server, self.text)) <= {1}
        assert is_gapless(self.server, self.conversation)
        after = self.server.turn(self.conversation, "run: ls")
        assert container_of(after) == self.container
        assert data_of(after, "turn_started")[0]["start"] == "live"


def test_a_killed_server_comes_back_and_reads_on(server: Hakoiri) -> None:
    turn = WaitingTurn(server)
    idle = server.conversation()
    before = container_of(server.turn(idle, "run: echo kept > kept"))
    (old,) = server.processes(SERVER)
    os.kill(old, signal.SIGKILL)
    turn.talk.end()
    until(lambda: server.processes(SERVER) not in ([], [old]) and is_ready(server))
    turn.let_go()
    turn.check_went_on()
    after = server.turn(idle, "run: cat kept")
    assert container_of(after) == before, "an idle container is adopted as well"


def test_a_turn_that_ended_while_no_server_was_there_is_told(server: Hakoiri) -> None:
    turn = WaitingTurn(server)
    (old,) = server.processes(SERVER)
    os.kill(old, signal.SIGSTOP)
    turn.let_go()
    until(lambda: any("done: went" in path.read_text() for path in transcripts(turn)))
    os.kill(old, signal.SIGKILL)
    turn.talk.end()
    until(lambda: server.processes(SERVER) not in ([], [old]) and is_ready(server))
    turn.check_went_on()


def transcripts(turn: WaitingTurn) -> list[Path]:
    home = workspace_of(turn.server, turn.conversation).parent / "home"
    return list(home.glob(".claude/projects/*/*.jsonl"))


def test_a_whole_installation_that_is_killed_goes_on_at_its_next_start(server: Hakoiri) -> None:
    turn = WaitingTurn(server)
    server.kill_all()
    turn.talk.end()
    assert server.containers()
    server.server.start()
    server.server.until_ready()
    turn.let_go()
    turn.check_went_on()


def test_a_supervisor_that_is_killed_leaves_its_containers_to_the_next(server: Hakoiri) -> None:
    turn = WaitingTurn(server)
    os.kill(server.server.pid, signal.SIGKILL)
    server.server.stop()
    turn.talk.end()
    until(lambda: not any_process_of(server))
    server.server.start()
    server.server.until_ready()
    turn.let_go()
    turn.check_went_on()


def any_process_of(server: Hakoiri) -> list[str]:
    """Command lines of the processes that have this server's directories open to them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = (process / "environ").read_text() + (process / "cmdline").read_text()
        except OSError:
            continue
        if str(server.run_dir) in fields and "workspace_agent" not in fields:
            found.append(fields)
    return found


def test_containers_that_are_kept_at_a_stop_are_adopted(server: Hakoiri) -> None:
    server.server.stop()
    server.server.options = ("--keep-containers",)
    server.server.start()
    server.server.until_ready()
    turn = WaitingTurn(server)
    server.server.stop()
    turn.talk.end()
    assert server.containers()
    server.server.options = ()
    server.server.start()
    server.server.until_ready()
    turn.let_go()
    turn.check_went_on()


def replace_server(server: Hakoiri) -> None:
    """What a service manager does for an upgrade: SIGUSR1, then the new version."""
    os.kill(server.server.pid, signal.SIGUSR1)
    until(lambda: server.server.exit_code is not None)
    assert server.server.exit_code == 0
    assert server.containers()
    server.server.start()
    server.server.until_ready()


def test_a_server_that_is_replaced_in_the_middle_of_a_turn_loses_nothing_of_it(
    server: Hakoiri,
) -> None:
    turn = WaitingTurn(server)
    replace_server(server)
    turn.talk.end()
    turn.let_go()
    turn.check_went_on()


def test_a_server_that_is_replaced_twice_loses_nothing_of_a_turn_either(server: Hakoiri) -> None:
    """An upgrade, and the way back."""
    turn = WaitingTurn(server)
    replace_server(server)
    replace_server(server)
    turn.talk.end()
    turn.let_go()
    last = turn.end()[-1]
    assert last["type"] == "result", last["data"]
    turn.check_went_on(taken_up=2)


def test_a_turn_whose_container_died_with_the_server_goes_on_in_another(server: Hakoiri) -> None:
    turn = WaitingTurn(server)
    (workspace_of(server, turn.conversation) / "unsaved").write_text("kept\n")
    server.kill_all()
    turn.talk.end()
    server.docker("kill", f"hakoiri-{turn.container}")
    server.server.start()
    server.server.until_ready()
    events = turn.end()
    assert events[-1]["type"] == "result", events[-1]
    (recovered,) = data_of(events, "container_recovered")
    assert recovered["generation"] == 2
    assert set(said_to_the_model(server, turn.text)) <= {1}
    after = server.turn(turn.conversation, "run: cat unsaved")
    assert data_of(after, "tool_result")[0]["text"].strip() == "kept"
    assert is_gapless(server, turn.conversation)


def test_a_workspace_without_a_conversation_is_adopted_and_saved(server: Hakoiri) -> None:
    path = f"/v1/workspaces/{server.api.call('POST', '/v1/workspaces', {})['id']}/exec"

    def run(command: str) -> str:
        ended = server.api.call("POST", path, {"argv": ["sh", "-c", command]})
        assert ended["exit_code"] == 0, ended
        said: str = ended["stdout"]
        return said

    def box() -> list[str]:
        trees = ((name, server.tree / name / "workspace") for name in server.boxes())
        return [name for name, tree in trees if (tree / "made-alone").exists()]

    run("echo kept > made-alone")
    before = box()
    assert len(before) == 1
    server.kill_all()
    server.server.start()
    server.server.until_ready()
    assert run("cat made-alone") == "kept\n"
    assert box() == before, "its container is adopted"
    server.server.stop()
    assert box() == []
    server.server.start()
    server.server.until_ready()
    assert run("cat made-alone") == "kept\n"


def test_a_stop_leaves_nothing_of_containers_that_were_adopted(server: Hakoiri) -> None:
    turn = WaitingTurn(server)
    server.kill_all()
    turn.talk.end()
    server.server.start()
    server.server.until_ready()
    assert server.containers()
    server.server.stop()
    assert server.containers() == []
    assert server.boxes() == []
    assert server.mounts() == []
    assert not server.run_dir.exists()
    server.server.start()
    server.server.until_ready()
    events = turn.end()
    assert (events[-1]["type"], events[-1]["data"]["code"]) == ("error", "server-stopped")
