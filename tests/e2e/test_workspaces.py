"""Workspaces as a noun of their own, and commands in real boxes, under both runtimes."""

import json
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from hashlib import sha256
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from tests import waiting
from tests.e2e.running import Hakoiri, data_of, hakoiri
from tests.e2e.scripts import RUN
from tests.engine import TestEngine

from hakoiri.cli.api_client import ApiError

until = partial(waiting.until, wait_s=60.0)
pytestmark = [pytest.mark.engine, pytest.mark.root]

COMMAND_LINE = Path(__file__).parents[2] / ".venv/bin/hakoiri"


@pytest.fixture(scope="module", params=["runc", "runsc"])
def server(
    request: pytest.FixtureRequest,
    engine: TestEngine,
    image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Hakoiri]:
    with hakoiri(
        tmp_path_factory.mktemp(request.param),
        docker_host=engine.docker_host,
        script=RUN,
        settings={"HAKOIRI_CONTAINER__RUNTIME": request.param, "HAKOIRI_CONTAINER__IMAGE": image},
    ) as running:
        yield running


@pytest.fixture(scope="module")
def workspace(server: Hakoiri) -> str:
    made: str = server.api.call("POST", "/v1/workspaces", {})["id"]
    return made


def run(server: Hakoiri, place: str, *argv: str, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = server.api.call("POST", f"{place}/exec", {"argv": argv} | more)
    return answer


def shell(server: Hakoiri, workspace: str, script: str, **more: Any) -> str:
    ended = run(server, f"/v1/workspaces/{workspace}", "sh", "-c", script, **more)
    assert ended["exit_code"] == 0, ended
    said: str = ended["stdout"]
    return said


def cli(
    server: Hakoiri, *arguments: str, given: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    url = f"http://127.0.0.1:{server.server.port}"
    with tempfile.TemporaryFile() as stdin:
        stdin.write(given or b"")
        stdin.seek(0)
        return subprocess.run(
            [COMMAND_LINE, "workspace", *arguments[:1], "--url", url, *arguments[1:]],
            stdin=subprocess.DEVNULL if given is None else stdin,
            capture_output=True,
            timeout=120,
            check=False,
        )


def test_a_command_runs_in_the_sealed_box(server: Hakoiri, workspace: str) -> None:
    ended = run(server, f"/v1/workspaces/{workspace}", "sh", "-c", "id -u; pwd; echo e >&2; exit 4")
    assert (ended["stdout"], ended["stderr"]) == ("1000\n/workspace\n", "e\n")
    assert (ended["exit_code"], ended["signal"]) == (4, None)
    assert shell(server, workspace, "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '") == "lo\n"
    assert shell(server, workspace, "grep CapEff /proc/self/status").split()[1] == "0" * 16
    assert shell(server, workspace, "touch /etc/x 2>/dev/null || echo refused") == "refused\n"
    code = "curl -s -o /dev/null -w '%{http_code}' http://outside.example.test/"
    assert shell(server, workspace, code) == "403"


def test_many_commands_share_one_box(server: Hakoiri, workspace: str) -> None:
    before = server.api.call("GET", f"/v1/workspaces/{workspace}")["generation"]
    said: dict[int, str] = {}

    def one(number: int) -> None:
        said[number] = shell(server, workspace, f"echo {number}; sleep 0.2")

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == {number: f"{number}\n" for number in range(8)}
    assert server.api.call("GET", f"/v1/workspaces/{workspace}")["generation"] == before


def test_its_files_are_there_at_once_and_outlive_the_box(server: Hakoiri, workspace: str) -> None:
    place = f"/v1/workspaces/{workspace}"
    shell(server, workspace, "mkdir -p sub; echo kept > sub/file")
    assert server.api.download(f"{place}/files/sub/file") == b"kept\n"
    shell(server, workspace, "echo later > sub/later")
    server.api.call("DELETE", place)
    killed = server.api.call("GET", place)
    assert (killed["state"], killed["recovery_point"][:3]) == ("stored", "rp-")
    assert shell(server, workspace, "cat sub/file sub/later") == "kept\nlater\n"
    again = server.api.call("GET", place)
    assert (again["state"], again["generation"]) == ("live", killed["generation"] + 1)


def test_a_time_limit_ends_all_of_it(server: Hakoiri, workspace: str) -> None:
    ended = run(
        server,
        f"/v1/workspaces/{workspace}",
        *("sh", "-c", "sleep 4711 & sleep 4711"),
        timeout_s=1,
    )
    assert (ended["exit_code"], ended["signal"], ended["timed_out"]) == (None, 9, True)
    until(lambda: not sleepers(server, workspace, 4711), "it was not killed")


def sleepers(server: Hakoiri, workspace: str, seconds: int) -> str:
    script = f"grep -alz ^{seconds}$ /proc/[0-9]*/cmdline 2>/dev/null || true"
    return shell(server, workspace, script)


def test_a_client_that_goes_away_takes_its_command_along(server: Hakoiri, workspace: str) -> None:
    body = json.dumps({"argv": ["sh", "-c", "sleep 4712 & sleep 4712"]})
    with closing(HTTPConnection("127.0.0.1", server.server.port)) as connection:
        connection.request(
            "POST",
            f"/v1/workspaces/{workspace}/exec",
            body=body,
            headers={"Content-Type": "application/json"},
        )
        until(lambda: sleepers(server, workspace, 4712), "it did not start")
    until(lambda: not sleepers(server, workspace, 4712), "it was not killed")


def test_output_streams_while_the_command_runs(server: Hakoiri, workspace: str) -> None:
    script = "echo first; while [ ! -e go ]; do sleep 0.05; done; rm go; echo second >&2; exit 3"
    body = {"argv": ["sh", "-c", script]}
    told = []
    for event, data in server.api.events("POST", f"/v1/workspaces/{workspace}/exec", body):
        told.append((event, data.get("text")))
        if event == "stdout":
            shell(server, workspace, "touch go")
    assert told == [("stdout", "first\n"), ("stderr", "second\n"), ("exit", None)]


def test_a_command_runs_beside_a_turn_in_the_same_box(server: Hakoiri) -> None:
    conversation = server.conversation()
    place = f"/v1/conversations/{conversation}/workspace"
    events: list[dict[str, Any]] = []

    def turn() -> None:
        wait = "echo begun > begun; while [ ! -e go ]; do sleep 0.1; done; echo done"
        events.extend(server.turn(conversation, f"run: {wait}"))

    thread = threading.Thread(target=turn)
    thread.start()
    until(
        lambda: run(server, place, "cat", "begun")["stdout"] == "begun\n", "the turn did not begin"
    )
    with pytest.raises(ApiError, match="interrupt"):
        server.api.call("DELETE", place)
    run(server, place, "touch", "go")
    thread.join()
    assert events[-1]["type"] == "result", events[-1]
    started = data_of(events, "turn_started")[0]
    assert server.api.call("GET", place)["generation"] == started["generation"]
    assert server.turn(conversation, "run: ls")[-1]["data"]["text"].split()[1:] == ["begun", "go"]


def test_a_policy_reaches_a_box_that_a_command_started(server: Hakoiri) -> None:
    server.api.call("PUT", "/v1/policies/narrow", {"rules": []})
    made = server.api.call("POST", "/v1/workspaces", {"policy": "narrow"})["id"]
    code = "curl -s -o /dev/null -w '%{http_code}' http://allowed.example.test:8080/"
    assert shell(server, made, code) == "403"
    rule = {"host": "allowed.example.test", "ports": [8080]}
    server.api.call("PUT", "/v1/policies/narrow", {"rules": [rule]})
    assert shell(server, made, code) == "502"  # let through, but no such host is to be found
    server.api.call("DELETE", f"/v1/workspaces/{made}?files=delete")
    with pytest.raises(ApiError, match="no such workspace"):
        server.api.call("GET", f"/v1/workspaces/{made}")


def test_the_command_line_passes_everything_on(server: Hakoiri, workspace: str) -> None:
    ended = cli(server, "exec", workspace, "--", "sh", "-c", r"printf '\033\377'; exit 7")
    assert (ended.stdout, ended.returncode) == (b"\x1b\xff", 7), ended.stderr
    script = "cat; echo $A"
    arguments = ("exec", workspace, "-w", ".", "-e", "A=b", "--", "sh", "-c", script)
    piped = cli(server, *arguments, given=b"\0in\n")
    assert (piped.stdout, piped.returncode) == (b"\0in\nb\n", 0), piped.stderr
    late = cli(server, "exec", workspace, "--timeout", "0.5", "--", "sleep", "99")
    assert (late.returncode, b"killed after 0.5 s" in late.stderr) == (124, True)
    signalled = cli(server, "exec", workspace, "--", "sh", "-c", "kill -TERM $$")
    assert signalled.returncode == 143
    missing = cli(server, "exec", workspace, "--", "no-such-program")
    assert (missing.returncode, b"No such file" in missing.stderr) == (127, True)
    told = json.loads(cli(server, "exec", workspace, "-o", "json", "--", "echo", "hi").stdout)
    assert (told["stdout"], told["exit_code"]) == ("hi\n", 0)


def test_the_command_line_makes_finds_and_kills(server: Hakoiri) -> None:
    made = cli(server, "create").stdout.decode().strip()
    assert made in cli(server, "list").stdout.decode()
    assert json.loads(cli(server, "get", made).stdout)["state"] == "stored"
    assert cli(server, "exec", made, "--", "true").returncode == 0
    assert cli(server, "kill", made).returncode == 0
    assert json.loads(cli(server, "get", made).stdout)["state"] == "stored"
    assert cli(server, "kill", made, "--files", "delete").returncode == 0
    gone = cli(server, "get", made)
    assert (gone.returncode, b"no such workspace" in gone.stderr) == (1, True)


def test_files_are_put_read_and_removed_with_and_without_a_box(server: Hakoiri) -> None:
    made = server.api.call("POST", "/v1/workspaces", {})["id"]
    files = f"/v1/workspaces/{made}/files"
    content = bytes(range(256)) * 20_000
    server.api.upload(f"{files}/in/before.bin", iter([content]), size=len(content))
    assert server.api.call("GET", f"/v1/workspaces/{made}")["state"] == "stored"
    assert server.api.download(f"{files}/in/before.bin") == content
    digest = f"{sha256(content).hexdigest()}  in/before.bin\n"
    assert shell(server, made, "sha256sum in/before.bin") == digest
    mine = "test -O in && test -O in/before.bin && test -x in && ! test -x in/before.bin"
    assert shell(server, made, mine) == ""
    server.api.upload(f"{files}/in/live.bin", iter([b"live"]), size=None)
    assert shell(server, made, "cat in/live.bin; echo more >> in/live.bin; rm in/before.bin")
    assert server.api.download(f"{files}/in/live.bin") == b"livemore\n"
    server.api.call("DELETE", f"{files}/in")
    assert shell(server, made, "ls") == ""
    assert server.api.call("GET", files) == {"files": []}
    shell(server, made, "ln -s /etc way")
    with pytest.raises(ApiError, match="way"):
        server.api.upload(f"{files}/way/hosts", iter([b"x"]), size=1)
    server.api.call("DELETE", f"/v1/workspaces/{made}?files=delete")


def test_a_server_that_stops_saves_what_commands_wrote(
    engine: TestEngine, image: str, tmp_path: Path
) -> None:
    settings = {"HAKOIRI_CONTAINER__IMAGE": image}
    with hakoiri(tmp_path, docker_host=engine.docker_host, settings=settings) as running:
        made = running.api.call("POST", "/v1/workspaces", {})["id"]
        shell(running, made, "echo kept > ended")
        body = {"argv": ["sh", "-c", "echo kept > running; echo begun; sleep 1000"]}
        events = running.api.events("POST", f"/v1/workspaces/{made}/exec", body)
        assert next(events)[0] == "stdout"
    assert running.containers() == []
    events.close()
    with hakoiri(tmp_path, docker_host=engine.docker_host, settings=settings) as running:
        listed = running.api.call("GET", f"/v1/workspaces/{made}/files")["files"]
    assert [one["path"] for one in listed] == ["ended", "running"]
