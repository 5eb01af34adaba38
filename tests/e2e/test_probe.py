"""`hakoiri probe`: a box made like every other is tried from inside, without a server."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.running import hakoiri
from tests.engine import TestEngine
from tests.waiting import until

from hakoiri.host.adapters.own_namespaces import read_own_namespaces
from hakoiri.wire.guard import CONTAINER_GID, CONTAINER_UID
from hakoiri.wire.probe import ProbeRequest

pytestmark = [pytest.mark.engine, pytest.mark.root]

TIMEOUT_S = 180


def probe(engine: TestEngine, image: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "hakoiri.cli", "probe", *arguments],
        env={
            "PATH": os.environ["PATH"],
            "HAKOIRI_DOCKER_HOST": engine.docker_host,
            "HAKOIRI_CONTAINER__IMAGE": image,
        },
        cwd="/",
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def traces() -> set[Path]:
    """What a run could leave behind."""
    directories = (Path("/run/hakoiri"), Path("/var/lib/hakoiri-live"), Path("/", "var", "tmp"))
    return {path for directory in directories for path in directory.glob("*")}


@pytest.mark.alone
@pytest.mark.parametrize("runtime", ["runc", "runsc"])
def test_nothing_in_a_box_is_open_and_the_probe_leaves_nothing(
    engine: TestEngine, image: str, runtime: str
) -> None:
    before = traces()
    ended = probe(engine, image, "--runtime", runtime, "--json")
    told: dict[str, Any] = json.loads(ended.stdout)
    assert [found for found in told["findings"] if found["result"] != "refused"] == []
    assert ended.returncode == 0
    assert told["runtime"] == runtime
    names = {found["name"] for found in told["findings"]}
    assert len(names) == len(told["findings"]) > 200
    assert {
        "system call bpf",
        "namespace by clone: user",
        "socket packet",
        "connect: metadata service",
        "new file in /etc",
        "socket /var/run/docker.sock",
        "secret in the environment",
        "proxy socket: speak without a policy",
        "posture: system-call filter",
        "posture: AppArmor label",
        "posture: open files",
        "posture: masked paths",
        "posture: limit nofile",
        "posture: namespace net",
        "posture: namespace user",
    } <= names
    kinds = {name.removeprefix("posture: namespace ") for name in names if "namespace " in name}
    assert ({"cgroup", "ipc", "mnt", "pid", "time", "uts"} <= kinds) == (runtime == "runc")
    assert traces() <= before


@pytest.mark.parametrize("runtime", ["runc", "runsc"])
def test_what_uses_up_the_box_ends_at_its_limits(
    engine: TestEngine, image: str, runtime: str
) -> None:
    ended = probe(engine, image, "--thorough", "--runtime", runtime, "--json")
    found = {one["name"]: one for one in json.loads(ended.stdout)["findings"]}
    in_memory = {"fork bomb", "memory bomb", "fill /tmp"} if runtime == "runc" else set()
    disks = {"disk of the host by /workspace", "disk of the host by the home"}
    assert {"fill /run/hakoiri/agent", *in_memory, *disks} <= set(found)
    assert [one for one in found.values() if one["result"] != "refused"] == []
    assert found["disk of the host by /workspace"]["how"].startswith("40")
    assert ended.returncode == 0


def test_a_box_that_is_not_sealed_is_found_out(engine: TestEngine, image: str) -> None:
    """The control: the same program, where the doors are open."""
    asked = ProbeRequest(
        runtime="runc",
        owner_uid=CONTAINER_UID,
        owner_gid=CONTAINER_GID,
        namespaces=read_own_namespaces(),
        open_files=4096,
        file_limit_bytes=2**30,
        apparmor=None,
    )
    ended = subprocess.run(
        [
            *("docker", "run", "--rm", "--network=host", "--security-opt=seccomp=unconfined"),
            *("--ipc=host", "--uts=host", "--pid=host", "--cgroupns=host"),
            *("--env=DB_PASSWORD=planted", "--entrypoint=/opt/hakoiri/bin/python", image),
            *("-I", "-m", "hakoiri.workspace_agent.probe", asked.model_dump_json()),
        ],
        env={"PATH": os.environ["PATH"], "DOCKER_HOST": engine.docker_host},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert ended.returncode == 1
    findings = json.loads(ended.stdout)["findings"]
    found = {one["name"] for one in findings if one["result"] == "open"}
    assert {
        "posture: system-call filter",
        "posture: no new privileges",
        "posture: capabilities capbnd",
        *(f"posture: namespace {kind}" for kind in ("cgroup", "ipc", "net", "pid", "uts")),
        "posture: masked paths",
        "posture: limit nofile",
        "posture: limit fsize",
        "posture: processes of others",
        "posture: mount /",
        "posture: host name",
        "network interfaces besides lo",
        "secret in the environment",
        "socket netlink route",
    } <= found


def test_a_runtime_that_is_none_is_refused_with_the_two_there_are(
    engine: TestEngine, image: str
) -> None:
    ended = probe(engine, image, "--runtime", "crun")
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "it is runc or runsc" in ended.stderr


def test_a_server_looks_at_a_box_of_each_runtime_when_it_starts_and_tells_what_it_found(
    engine: TestEngine, image: str, tmp_path: Path
) -> None:
    with hakoiri(
        tmp_path,
        docker_host=engine.docker_host,
        settings={
            "HAKOIRI_CONTAINER__IMAGE": image,
            "HAKOIRI_CONTAINER__RUNTIMES": "runc,runsc",
            "HAKOIRI_CONTAINER__PROBE_AT_START": "true",
        },
    ) as running:

        def looked() -> dict[str, Any] | None:
            told: dict[str, Any] = running.api.call("GET", "/ready")["probe"]
            return told if told["state"] != "running" else None

        told = until(looked, "it never ended", wait_s=TIMEOUT_S)
        assert (told["state"], told["open"]) == ("done", [])
        assert told["refused"] > 400
        assert set(told["runtimes"]) == {"runc", "runsc"}
        for runtime, one in told["runtimes"].items():
            assert (one["state"], one["open"], one["reason"]) == ("done", [], ""), runtime
            assert one["refused"] > 200
            assert one["took_s"] > 0
            assert one["processor_s"] > 0
        lines = {line["runtime"]: line for line in running.server_log("probe_done")}
        assert {runtime: line["open"] for runtime, line in lines.items()} == {"runc": 0, "runsc": 0}
        assert lines["runsc"]["took_s"] == told["runtimes"]["runsc"]["took_s"]
        page = running.api.download("/metrics").decode()
        for runtime in ("runc", "runsc"):
            assert f'hakoiri_probe_findings{{result="open",runtime="{runtime}"}} 0.0' in page
        assert running.containers() == []
        turn = running.turn(running.conversation(), "hello")
        assert turn[-1]["type"] == "result"
