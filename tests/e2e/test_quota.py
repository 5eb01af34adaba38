"""A workspace that is filled: its agent hears of it, nobody else does, and nothing is lost."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from tests.disks import boxes_with_devices
from tests.e2e.running import Hakoiri, data_of, hakoiri, prepare
from tests.e2e.scripts import RUN
from tests.e2e.talk import Talk
from tests.e2e.test_processes import GUARD, SERVER
from tests.engine import TestEngine, mounts_below
from tests.waiting import until

from hakoiri.cli.api_client import ApiError

pytestmark = [pytest.mark.engine, pytest.mark.root]

MIB = 1024 * 1024
QUOTA_MIB = 48
SMALL = {
    "HAKOIRI_CONTAINER__WORKSPACE_MIB": str(QUOTA_MIB),
    "HAKOIRI_CONTAINER__WORKSPACE_INODES": "1024",
    "HAKOIRI_CONTAINER__HOME_MIB": "64",
    "HAKOIRI_CONTAINER__HOME_INODES": "1024",
}


@pytest.fixture(scope="module", params=["runc", "runsc"])
def server(
    request: pytest.FixtureRequest,
    engine: TestEngine,
    image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Hakoiri]:
    settings = SMALL | {
        "HAKOIRI_CONTAINER__RUNTIME": request.param,
        "HAKOIRI_CONTAINER__IMAGE": image,
    }
    with hakoiri(
        tmp_path_factory.mktemp(request.param),
        docker_host=engine.docker_host,
        script=RUN,
        settings=settings,
    ) as running:
        yield running
    until(lambda: boxes_with_devices(ever_made(running)) == set())
    assert mounts_below(running.root) == []


def ever_made(server: Hakoiri) -> set[str]:
    """Ids of all containers that this server asked for."""
    calls = [line["target"] for line in server.server_log("engine_call_allowed")]
    found = {target.removeprefix("/boxes/") for target in calls if target.startswith("/boxes/")}
    assert found
    return found


def run(server: Hakoiri, conversation: str, command: str) -> list[dict[str, Any]]:
    events = server.turn(conversation, f"run: {command}")
    assert events[-1]["type"] == "result", events[-1]
    return events


def said(events: list[dict[str, Any]]) -> str:
    text: str = data_of(events, "tool_result")[0]["text"]
    return text


def gauge(server: Hakoiri, name: str) -> float:
    with urlopen(f"http://127.0.0.1:{server.server.port}/metrics", timeout=30) as answer:
        page = answer.read().decode()
    return float(next(line for line in page.splitlines() if line.startswith(name)).split()[-1])


def test_a_full_workspace_is_told_saved_and_nobody_elses_matter(server: Hakoiri) -> None:
    greedy, neighbour = server.conversation(), server.conversation()
    run(server, greedy, "echo kept > notes.txt")
    filling = Talk(
        server, greedy, "run: cat /dev/urandom > big; ls -s --block-size=1M big | cut -d' ' -f1"
    )
    run(server, neighbour, "head -c 20M /dev/urandom > mine; sync; wc -c mine")
    assert filling.end()["type"] == "result"
    assert "No space left" in said(filling.events)
    # one at least: a slow machine saves beside the turn as well
    assert {str(synced["left_out"]) for synced in data_of(filling.events, "file_synced")} == {"[]"}
    (notice,) = data_of(filling.events, "notice")
    assert notice["code"] == "workspace-nearly-full"
    assert re.match(r"/workspace is (99|100) % full: 4. of 4. MiB", notice["text"])
    for image in server.disks.glob("*/workspace.img"):
        assert image.stat().st_blocks * 512 <= QUOTA_MIB * MIB
    # the agent's memory has a disk of its own, and the next turn goes on from it
    again = run(server, greedy, "cat notes.txt; rm big; echo room > more.txt")
    assert said(again).strip() == "kept"
    assert data_of(again, "notice") == []


def test_a_workspace_without_inodes_is_told_and_can_be_restored_whole(server: Hakoiri) -> None:
    conversation = server.conversation()
    events = run(server, conversation, "i=0; while : > f$i; do i=$((i+1)); done; echo; ls | wc -l")
    assert "No space left" in said(events)
    made = int(said(events).split()[-1])
    assert 900 < made < 1024
    assert data_of(events, "notice")[0]["code"] == "workspace-nearly-full"
    until(lambda: gauge(server, "hakoiri_workspaces_nearly_full ") >= 1)
    until(lambda: gauge(server, "hakoiri_workspace_disk_used_bytes ") > 0)
    (before,) = [
        one for one in server.boxes() if len(list(workspace(server, one).iterdir())) == made
    ]
    for container in server.containers():
        server.docker("rm", "--force", container)
    assert said(run(server, conversation, "ls | wc -l")).strip() == str(made)
    assert before not in server.boxes()


def workspace(server: Hakoiri, container_id: str) -> Path:
    return server.tree / container_id / "workspace"


def test_a_removed_box_holds_no_space_although_others_run_that_came_later(
    server: Hakoiri,
) -> None:
    """Whoever copied the mounts when it started would hold on to the disk."""
    first, second = server.conversation(), server.conversation()
    before = set(server.boxes())
    run(server, first, "echo first")
    (earlier,) = set(server.boxes()) - before
    run(server, second, "echo second")
    (later,) = set(server.boxes()) - before - {earlier}
    server.api.call("DELETE", f"/v1/conversations/{first}")
    until(lambda: earlier not in server.boxes())
    until(lambda: boxes_with_devices(ever_made(server)) == set(server.boxes()))
    assert later in server.boxes()


@pytest.fixture
def settings(image: str) -> dict[str, str]:
    return SMALL | {"HAKOIRI_CONTAINER__IMAGE": image}


def test_files_beyond_the_quota_are_not_restored_and_both_numbers_told(
    engine: TestEngine, settings: dict[str, str], tmp_path: Path
) -> None:
    host = engine.docker_host
    with hakoiri(tmp_path, docker_host=host, script=RUN, settings=settings) as running:
        conversation = running.conversation()
        run(running, conversation, "head -c 30M /dev/urandom > big")
    smaller = settings | {"HAKOIRI_CONTAINER__WORKSPACE_MIB": "16"}
    with hakoiri(tmp_path, docker_host=host, script=RUN, settings=smaller) as running:
        last = running.turn(conversation, "run: true")[-1]
        assert (last["type"], last["data"]["code"]) == ("error", "workspace-too-large")
        assert str(30 * MIB) in last["data"]["text"]
        assert "container.workspace_mib" in last["data"]["text"]


def test_a_host_that_is_nearly_full_starts_nothing_and_says_so(
    engine: TestEngine, settings: dict[str, str], tmp_path: Path
) -> None:
    settings |= {"HAKOIRI_GUARD__DISK_FLOOR_MIB": "1048576"}
    made = prepare(tmp_path, docker_host=engine.docker_host, script=RUN, settings=settings)
    made.server.start()
    try:
        until(lambda: _is_up(made))
        with pytest.raises(ApiError, match="MiB free below"):
            made.api.call("GET", "/ready")
        last = made.turn(made.conversation(), "run: true")[-1]
        assert (last["type"], last["data"]["code"]) == ("error", "container-start-failed")
        assert "HAKOIRI_GUARD__DISK_FLOOR_MIB" in last["data"]["text"]
    finally:
        made.server.stop()


def _is_up(made: Hakoiri) -> bool:
    try:
        made.api.call("GET", "/health")
    except ApiError:
        return False
    return True


def test_the_disks_that_a_killed_server_and_guard_leave_go_on_and_then_go_with_their_box(
    engine: TestEngine, settings: dict[str, str], tmp_path: Path
) -> None:
    host = engine.docker_host
    with hakoiri(tmp_path, docker_host=host, script=RUN, settings=settings) as made:
        conversation = made.conversation()
        run(made, conversation, "echo here > there")
        (box,) = made.boxes()
        assert boxes_with_devices([box]) == {box}
        processes = [made.server.pid, *made.processes(GUARD), *made.processes(SERVER)]
        for process in processes:
            os.kill(process, signal.SIGKILL)
    left = boxes_with_devices([box])
    with hakoiri(tmp_path, docker_host=host, script=RUN, settings=settings) as running:
        assert left == {box}, "the container still ran"
        assert running.boxes() == [box]
        assert said(run(running, conversation, "cat there")) == "here"
        disks = running.disks
    until(lambda: boxes_with_devices([box]) == set())
    assert not disks.exists()
    assert mounts_below(tmp_path) == []
