"""Containers that wait for a conversation: claimed as they are, set without a restart, drained."""

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests import waiting
from tests.e2e.running import Hakoiri, data_of, hakoiri
from tests.e2e.scripts import RUN
from tests.engine import TestEngine

from hakoiri.cli.api_client import ApiError
from hakoiri.wire.guard import engine_name

pytestmark = [pytest.mark.engine, pytest.mark.root]

WAIT_S = 90.0
until = partial(waiting.until, wait_s=WAIT_S)


@pytest.fixture(scope="module")
def server(
    engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hakoiri]:
    with hakoiri(
        tmp_path_factory.mktemp("warm"),
        docker_host=engine.docker_host,
        script=RUN,
        settings={
            "HAKOIRI_CONTAINER__IMAGE": image,
            "HAKOIRI_CONTAINER__RUNTIME": "runc",
            "HAKOIRI_CONTAINER__RUNTIMES": "runc,runsc",
            "HAKOIRI_WARM_POOL__MIN": "1",
        },
    ) as running:
        yield running
    assert running.containers() == []
    assert running.boxes() == []


def pool(server: Hakoiri, runtime: str = "runc") -> dict[str, Any]:
    told: dict[str, Any] = server.api.call("GET", "/v1/pool")["runtimes"][runtime]
    return told


def until_full(server: Hakoiri, runtime: str = "runc") -> None:
    until(lambda: pool(server, runtime)["state"] == "full", f"a full pool of {runtime}")


def set_pool(server: Hakoiri, *options: str) -> None:
    command = [sys.executable, "-m", "hakoiri.cli", "pool", "set", *options]
    url = f"http://127.0.0.1:{server.server.port}"
    subprocess.run([*command, "--url", url], check=True, capture_output=True)


def warm_ids(server: Hakoiri) -> set[str]:
    """Ids of the containers that are there and nobody's, while no conversation is live."""
    return set(server.boxes())


def forget(server: Hakoiri, conversation: str) -> None:
    container = data_of(server.log(conversation), "turn_started")[-1]["container"]
    server.api.call("DELETE", f"/v1/conversations/{conversation}")
    until(lambda: container not in server.boxes(), "the end of a container")


def shown(server: Hakoiri, container_id: str) -> dict[str, Any]:
    """What the engine tells of a container, but for how it fares."""
    inspected = server.inspect(engine_name(container_id))
    told = {key: inspected[key] for key in ("Id", "Config", "HostConfig", "Created")}
    return told | {"Mounts": sorted(inspected["Mounts"], key=lambda mount: mount["Destination"])}


def ran(events: list[dict[str, Any]]) -> str:
    assert events[-1]["type"] == "result", events[-1]
    text: str = data_of(events, "tool_result")[0]["text"]
    return text.strip()


def test_a_new_conversation_gets_a_warm_container_as_it_is(server: Hakoiri) -> None:
    until_full(server)
    before = {one: shown(server, one) for one in warm_ids(server)}
    conversation = server.conversation()
    events = server.turn(conversation, "run: echo hello > f; cat f")
    started = data_of(events, "turn_started")[0]
    assert (started["start"], started["generation"]) == ("warm", 1)
    assert ran(events) == "hello"
    assert shown(server, started["container"]) == before[started["container"]]
    assert data_of(server.turn(conversation, "run: cat f"), "turn_started")[0]["start"] == "live"
    forget(server, conversation)


def test_files_and_memory_come_back_into_a_warm_container(server: Hakoiri) -> None:
    conversation = server.conversation()
    first = server.turn(conversation, "run: echo kept > f; ls -A ~ | sort")
    lost = data_of(first, "turn_started")[0]["container"]
    until_full(server)
    server.docker("rm", "--force", engine_name(lost))
    second = server.turn(conversation, "run: cat f")
    started = data_of(second, "turn_started")[0]
    assert (started["start"], started["generation"]) == ("warm", 2)
    assert ran(second) == "kept"
    asked = [one for one in server.model_requests() if "cat f" in one["user_text"]]
    assert asked, "the turn reached the model"
    sessions = ran(
        server.turn(conversation, "run: find ~/.claude/projects -name '*.jsonl' | wc -l")
    )
    assert sessions == "1", "the session went on; the process that had waited left none of its own"
    forget(server, conversation)


def test_two_at_once_never_share_a_warm_container(server: Hakoiri) -> None:
    until_full(server)
    conversations = [server.conversation() for _ in range(3)]
    for one in conversations:
        server.api.call("POST", f"/v1/conversations/{one}/messages", {"text": f"run: echo {one}"})
    until(
        lambda: (
            not any(
                server.api.call("GET", f"/v1/conversations/{one}")["running"]
                for one in conversations
            )
        ),
        "the end of the turns",
    )
    started = [data_of(server.log(one), "turn_started")[0] for one in conversations]
    assert len({one["container"] for one in started}) == 3
    assert sorted(one["start"] for one in started).count("warm") >= 2
    for one in conversations:
        assert ran(server.log(one)) == one
        forget(server, one)


def test_a_warm_container_that_was_killed_is_passed_over(server: Hakoiri) -> None:
    until_full(server)
    killed = sorted(warm_ids(server))
    for one in killed:
        server.docker("kill", engine_name(one))
    conversation = server.conversation()
    events = server.turn(conversation, "run: echo on")
    assert ran(events) == "on"
    assert data_of(events, "turn_started")[0]["container"] not in killed
    until(lambda: not set(killed) & set(server.boxes()), "the end of the killed ones")
    forget(server, conversation)


def test_before_a_claim_the_socket_refuses_everything(server: Hakoiri) -> None:
    until_full(server)
    sockets = list(server.run_dir.rglob("proxy.sock"))
    assert len(sockets) >= 2
    for path in sockets:
        said = subprocess.run(
            [
                *("curl", "--silent", "--show-error", "--max-time", "5", "--unix-socket"),
                *(str(path), "--write-out", "%{http_code}", "--output", "/dev/null"),
                "http://127.0.0.1/v1/messages",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (said.stdout == "403" and said.returncode == 0) or said.returncode != 0, said


def test_a_conversation_may_ask_for_the_other_runtime(server: Hakoiri) -> None:
    until_full(server)
    usual, other = server.conversation(), server.conversation(runtime="runsc")
    assert ran(server.turn(usual, "run: uname -r")) == os.uname().release
    events = server.turn(other, "run: uname -r")
    started = data_of(events, "turn_started")[0]
    assert started["start"] == "cold", "no warm one of another runtime is good enough"
    assert ran(events) != os.uname().release, "gVisor's own kernel answers"
    hosts = {
        name: server.inspect(
            engine_name(data_of(server.log(name), "turn_started")[0]["container"])
        )["HostConfig"]
        for name in (usual, other)
    }
    assert [hosts[name]["Runtime"] for name in (usual, other)] == ["runc", "runsc"]
    filters = [
        next(option for option in hosts[name]["SecurityOpt"] if option.startswith("seccomp="))
        for name in (usual, other)
    ]
    assert "SCMP_ACT_KILL_PROCESS" in filters[0]
    assert "SCMP_ACT_KILL_PROCESS" not in filters[1]
    for one in (usual, other):
        forget(server, one)


def test_a_pool_of_the_other_runtime_is_made_while_the_server_runs(server: Hakoiri) -> None:
    set_pool(server, "--runtime", "runsc", "--min", "1", "--target", "1", "--max", "1")
    until_full(server, "runsc")
    conversation = server.conversation(runtime="runsc")
    events = server.turn(conversation, "run: uname -r")
    assert data_of(events, "turn_started")[0]["start"] == "warm"
    assert ran(events) != os.uname().release
    forget(server, conversation)
    set_pool(server, "--runtime", "runsc", "--min", "0", "--target", "0", "--max", "0")
    until(lambda: pool(server, "runsc")["ready"] == 0, "the end of the pool")


def test_what_policy_or_server_do_not_allow_is_refused_by_name(server: Hakoiri) -> None:
    policy = server.api.call("GET", "/v1/policies/default")
    server.api.call("PUT", "/v1/policies/only-runc", policy | {"runtimes": ["runc"]})
    with pytest.raises(ApiError, match="the policy does not allow runsc, only runc") as refused:
        server.conversation(policy="only-runc", runtime="runsc")
    assert refused.value.problem is not None
    assert refused.value.problem.status == 422


def test_a_setting_outlives_the_server_and_an_empty_pool_is_ready(
    engine: TestEngine, image: str, tmp_path: Path
) -> None:
    settings = {
        "HAKOIRI_CONTAINER__IMAGE": image,
        "HAKOIRI_CONTAINER__RUNTIME": "runc",
        "HAKOIRI_WARM_POOL__MIN": "1",
    }
    with hakoiri(tmp_path, docker_host=engine.docker_host, script=RUN, settings=settings) as first:
        until_full(first)
        set_pool(first, "--min", "0", "--target", "0")
        until(lambda: first.containers() == [], "an empty pool")
        ready = first.api.call("GET", "/ready")
        assert (ready["ready"], ready["pool"]["runc"]["state"]) == (True, "off")
        assert (
            data_of(first.turn(first.conversation(), "run: id"), "turn_started")[0]["start"]
            == "cold"
        )
    with hakoiri(tmp_path, docker_host=engine.docker_host, script=RUN, settings=settings) as second:
        told = second.api.call("GET", "/v1/pool")
        assert told["source"] == "stored"
        assert told["configuration"]["runtimes"]["runc"] == {"min": 0, "target": 0, "max": 4}
        assert pool(second)["state"] == "off"
