"""A full disk of the audit log: nothing begins, what runs waits, and it goes on by itself."""

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.e2e.running import Hakoiri, data_of, hakoiri, turn_types
from tests.e2e.scripts import RUN
from tests.e2e.talk import Talk
from tests.e2e.test_audit import audit
from tests.engine import TestEngine
from tests.full_disk import SmallDisk, small_disk
from tests.waiting import until

from hakoiri.cli.api_client import ApiError

pytestmark = [pytest.mark.engine, pytest.mark.root]


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    with small_disk(tmp_path_factory.mktemp("unrecorded") / "audit") as made:
        yield made


@pytest.fixture(scope="module")
def server(engine: TestEngine, image: str, disk: SmallDisk) -> Iterator[Hakoiri]:
    with hakoiri(
        disk.place.parent,
        docker_host=engine.docker_host,
        script=RUN,
        settings={"HAKOIRI_CONTAINER__IMAGE": image},
    ) as running:
        yield running


def refusal(act: Callable[[], object]) -> str | None:
    """Return the code with which the server refuses; None if it does not."""
    try:
        act()
    except ApiError as error:
        return error.problem.code if error.problem is not None else str(error)
    return None


def change_policy(server: Hakoiri) -> None:
    """Do what is told in the server's chain, if it is still taken."""
    server.api.call("PUT", "/v1/policies/web", {"rules": []})


def ask_guard(server: Hakoiri, method: str, target: str) -> dict[str, Any]:
    """Call the guard as root, who may."""
    socket = server.run_dir / "guard" / "docker.sock"
    done = subprocess.run(
        ["curl", "-s", "--unix-socket", str(socket), "-X", method, f"http://guard{target}"],
        capture_output=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def figure(server: Hakoiri, name: str) -> float:
    page = server.api.download("/metrics").decode()
    found = [line.rpartition(" ")[2] for line in page.splitlines() if line.startswith(f"{name} ")]
    return float(found[0]) if found else 0.0


def test_nothing_begins_that_cannot_be_recorded_and_a_turn_under_way_is_not_lost(
    server: Hakoiri, disk: SmallDisk
) -> None:
    running, waiting = server.conversation(), server.conversation()
    server.turn(waiting, "run: echo made > file")
    # what the proxy refuses is told in its chain: so it finds out that it cannot write
    tries = "for i in $(seq 20); do curl -s http://evil.example.test/; sleep 0.2; done"
    turn = Talk(server, running, f"run: {tries}; echo it-went-on")
    until(lambda: "tool_use" in turn_types(turn.events))
    disk.fill()
    until(lambda: refusal(lambda: change_policy(server)) == "audit-unavailable")
    place = f"/v1/conversations/{waiting}"
    for act in (
        lambda: server.turn(waiting, "hello"),
        lambda: server.api.call("POST", f"{place}/workspace/exec", {"command": ["true"]}),
        server.conversation,
    ):
        assert refusal(act) == "audit-unavailable"
    told = refusal(lambda: server.api.call("GET", "/ready"))
    assert told is not None
    assert server.api.call("GET", place)["turn"] == 1
    assert server.api.download(f"{place}/workspace/files/file") == b"made\n"

    def guard_is_told() -> bool:
        ask_guard(server, "POST", "/v1.41/nothing")
        return "No space left" in str(ask_guard(server, "GET", "/boxes")["trouble"])

    until(guard_is_told)
    boxes = server.boxes()
    refused = ask_guard(server, "PUT", f"/boxes/c{'0' * 16}")
    assert refused["type"] == "urn:hakoiri:problem:audit-unavailable"
    assert server.boxes() == boxes
    held_back = 'hakoiri_proxy_refusals_total{code="audit-unavailable"}'
    until(lambda: figure(server, held_back) > 0, "the proxy let the model call through")
    assert figure(server, "hakoiri_proxy_audit_faulty") == 1

    disk.free()
    turn.end()
    events = turn.events
    assert "it-went-on" in str(data_of(events, "tool_result"))
    assert turn_types(events)[-1] == "result", "the agent asked again until it was let through"
    until(lambda: refusal(lambda: change_policy(server)) is None)
    assert turn_types(server.turn(waiting, "hello"))[-1] == "result"
    (instance,) = (path for path in disk.place.iterdir() if path.is_dir())

    def is_sound() -> bool:
        return audit(instance, "verify").returncode == 0

    until(is_sound)
    found = audit(instance, "search", "--event", "turn_ended", "--json").stdout.splitlines()
    assert len(found) == 3


def test_a_running_turn_can_be_interrupted_and_a_workspace_killed(
    server: Hakoiri, disk: SmallDisk
) -> None:
    conversation = server.conversation()
    turn = Talk(server, conversation, "run: sleep 100")
    until(lambda: "tool_use" in turn_types(turn.events))
    disk.fill()
    until(lambda: refusal(lambda: change_policy(server)) == "audit-unavailable")
    server.api.call("POST", f"/v1/conversations/{conversation}/interrupt")
    assert turn.end()["data"]["code"] == "interrupted"
    server.api.call("DELETE", f"/v1/conversations/{conversation}/workspace")
    disk.free()
