"""The shipped engine configuration, fed to a real engine."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.engine import STOP_TIMEOUT_S, TestEngine, mounts_below
from tests.integration.engine.test_private_engine import docker, has_ended, image_with
from tests.remapped_engine import (
    DEPLOYED,
    REMAP_USER,
    deployed_configuration,
    remapped_engine,
    sweep,
)

from hakoiri.cli.doctor import engine_checks
from hakoiri.cli.doctor.engine_facts import read_engine
from hakoiri.cli.doctor.finding import State

pytestmark = [pytest.mark.engine, pytest.mark.root]

ETC = [Path("/etc", name) for name in ("passwd", "group", "subuid", "subgid")]


def test_the_shipped_file_is_what_the_engine_took(remapped: TestEngine) -> None:
    info = json.loads(docker(remapped.docker_host, "info", "--format", "{{json .}}"))
    given = deployed_configuration()
    assert "name=userns" in info["SecurityOptions"]
    assert info["LiveRestoreEnabled"] is given["live-restore"] is True
    assert info["LoggingDriver"] == given["log-driver"]
    assert info["Runtimes"]["runsc"]["runtimeArgs"] == given["runtimes"]["runsc"]["runtimeArgs"]
    (bridge,) = json.loads(docker(remapped.docker_host, "network", "inspect", "bridge"))
    assert bridge["Options"]["com.docker.network.bridge.enable_icc"] == "false"


def test_the_doctor_finds_nothing_to_mend_in_it(remapped: TestEngine) -> None:
    facts = read_engine(remapped.docker_host)
    for finding in (
        engine_checks.check_user_namespace(facts),
        engine_checks.check_runsc(facts, needed=True),
        engine_checks.check_seccomp(facts),
    ):
        assert finding.state is State.OK, finding


def test_a_container_of_anybodys_has_the_shipped_ids_and_limits(remapped: TestEngine) -> None:
    host = remapped.docker_host
    docker(host, "import", "-", "echo:remapped", stdin=image_with(Path("/usr/bin/echo")))
    container = docker(host, "create", "--network=none", "echo:remapped", "/usr/bin/echo", "x")
    try:
        (shown,) = json.loads(docker(host, "inspect", container))
        assert shown["HostConfig"]["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}
        assert docker(host, "start", "--attach", container) == "x"
        user, first, count = (DEPLOYED / "subuid").read_text().strip().split(":")
        assert (user, count) == (REMAP_USER, "65536")
        root = docker(host, "info", "--format", "{{.DockerRootDir}}")
        assert Path(root).name == f"{first}.{first}"
        layer = Path(shown["GraphDriver"]["Data"]["UpperDir"])
        assert layer.is_relative_to(root)
        assert layer.stat().st_uid == int(first)
    finally:
        docker(host, "rm", "--force", container)


def test_the_machine_stays_as_it_was_and_nothing_is_left() -> None:
    before = machine()
    with remapped_engine() as own:
        assert own.pid is not None
        assert machine() == before
        directories = (own.run_directory, own.data_directory)
    assert machine() == before
    assert not any(directory.exists() for directory in directories)
    assert not [mount for directory in directories for mount in mounts_below(directory)]


def test_what_a_killed_one_left_is_swept_and_a_live_one_is_not(remapped: TestEngine) -> None:
    script = (
        "import os, signal\n"
        "from tests.remapped_engine import RemappedEngine\n"
        "own = RemappedEngine()\n"
        "own.start()\n"
        "print(own.pid, own.run_directory, own.data_directory, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    pid, *directories = done.stdout.split()
    assert has_ended(int(pid), within_s=STOP_TIMEOUT_S)
    sweep()
    assert not any(Path(directory).exists() for directory in directories)
    assert not [mount for directory in directories for mount in mounts_below(Path(directory))]
    assert docker(remapped.docker_host, "info", "--format", "{{.ServerVersion}}")


def machine() -> dict[str, Any]:
    """What such an engine would change if it had not its own view of it."""
    links = subprocess.run(["ip", "-json", "link"], capture_output=True, check=True).stdout
    rules = subprocess.run(["iptables", "--list-rules"], capture_output=True, check=True).stdout
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return {
        "links": sorted(link["ifname"] for link in json.loads(links)),
        "rules": rules,
        "etc": [path.read_bytes() for path in ETC if path.exists()],
        "mounted": [str(path) for path in ETC if str(path) in mounts],
    }
