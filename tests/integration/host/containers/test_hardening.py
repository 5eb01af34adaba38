"""The hardening as the engine carries it out: facts from inside a container of our making."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.engine import TestEngine
from tests.integration.host.containers import box_facts
from tests.integration.host.containers.sealed import Change, Runtime, Sealed, sealed

from hakoiri.host.container_settings import ContainerSettings
from hakoiri.host.containers.box import box_cpus
from hakoiri.host.containers.hardening import MASKED_PATHS, MIB, READ_ONLY_PATHS
from hakoiri.host.settings import FilesSettings

pytestmark = pytest.mark.engine

GIVEN = ContainerSettings()
WRITTEN = [
    path
    for path in (
        *("/etc/passwd", "/usr/bin/env", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger"),
        *("/sys/kernel/uevent_helper", "/sys/power/state"),
    )
    if Path(path).exists()
]
"""Opened for writing and left as they are."""


def facts(
    engine: TestEngine, image: str, root: Path, change: Change | None = None
) -> dict[str, Any]:
    asked = json.dumps({"masked": MASKED_PATHS, "written": WRITTEN})
    command = ["/usr/bin/python3", "-c", Path(box_facts.__file__).read_text(), asked]
    with sealed(engine.docker_host, image, root, command, change=change) as container:
        found: dict[str, Any] = json.loads(container.output())
        found["shown"] = container.shown
        return found


@pytest.fixture(scope="module")
def inside(
    engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    return facts(engine, image, tmp_path_factory.mktemp("hardening"))


@pytest.fixture(scope="module")
def loosened(
    engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """The same questions, answered in a box whose host configuration is the engine's default."""

    def let_loose(body: dict[str, Any]) -> None:
        kept = ("Runtime", "Mounts", "NetworkMode")
        body["HostConfig"] = {name: body["HostConfig"][name] for name in kept}
        body["HostConfig"] |= {"MaskedPaths": [], "ReadonlyPaths": [], "CgroupnsMode": "host"}
        body["User"] = "0:0"

    return facts(engine, image, tmp_path_factory.mktemp("loose"), let_loose)


@pytest.mark.parametrize("name", ["cgroup", "ipc", "mnt", "net", "pid", "uts"])
def test_no_namespace_is_the_hosts(inside: dict[str, Any], name: str) -> None:
    assert inside["namespaces"][name] != str(Path(f"/proc/self/ns/{name}").readlink())


def test_the_view_of_control_groups_would_be_the_hosts(loosened: dict[str, Any]) -> None:
    assert loosened["namespaces"]["cgroup"] == str(Path("/proc/self/ns/cgroup").readlink())


def test_the_root_is_read_only_and_so_is_the_way_to_the_proxy(inside: dict[str, Any]) -> None:
    assert "ro" in inside["mounts"]["/"]
    assert "ro" in inside["mounts"]["/run/hakoiri/proxy"]
    assert "ro" in inside["mounts"]["/sys"]
    writable = {
        target for target, options in inside["mounts"].items() if "ro" not in options
    } - set(MASKED_PATHS)
    ours = {"/tmp", "/workspace", "/home/agent", "/run/hakoiri/agent"}  # noqa: S108
    engines = {"/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"}  # noqa: S108
    assert writable - engines == ours


@pytest.mark.parametrize("target", ["/tmp", "/dev/shm", "/run/hakoiri/agent"])  # noqa: S108
def test_no_device_and_no_set_id_file_works_in_memory(inside: dict[str, Any], target: str) -> None:
    assert {"nosuid", "nodev"} <= set(inside["mounts"][target])


def test_memory_file_systems_have_their_sizes(inside: dict[str, Any]) -> None:
    assert inside["tmp"] == [GIVEN.tmp_mib * MIB, GIVEN.tmp_mib * MIB // 4096]
    assert inside["shm"] == GIVEN.shm_mib * MIB


def test_what_tells_of_the_host_is_empty(inside: dict[str, Any], loosened: dict[str, Any]) -> None:
    assert len(inside["masked"]) > 8
    assert [path for path, empty in inside["masked"].items() if not empty] == []
    bare = [path for path, empty in loosened["masked"].items() if not empty]
    assert {"/proc/interrupts", "/proc/kallsyms", "/proc/cmdline"} <= set(bare)


def test_nothing_of_the_system_or_the_kernel_can_be_written(
    inside: dict[str, Any], loosened: dict[str, Any]
) -> None:
    assert len(inside["writing"]) == len(WRITTEN) >= 3
    assert "written" not in inside["writing"].values()
    for path in READ_ONLY_PATHS:
        is_there = Path(path).exists() and not Path(path).is_symlink()
        assert "ro" in inside["mounts"].get(path, ["ro"] * (not is_there))
    assert loosened["writing"]["/etc/passwd"] == "written"
    assert loosened["writing"]["/proc/sys/kernel/core_pattern"] == "written"
    assert "/proc/sys" not in loosened["mounts"]


def test_there_is_no_capability_and_no_root(inside: dict[str, Any]) -> None:
    assert set(inside["capabilities"].values()) == {"0" * 16}
    assert inside["ids"] == [1000, 1000, [1000]]


def test_the_limits_of_a_process(inside: dict[str, Any]) -> None:
    assert inside["limits"] == {
        "CORE": [0, 0],
        "FSIZE": [FilesSettings().file_limit_bytes] * 2,
        "NOFILE": [GIVEN.open_files] * 2,
    }


def test_the_kernel_takes_a_box_before_what_is_ours(inside: dict[str, Any]) -> None:
    assert inside["oom_score_adj"] == 500


def cpu_share(container: Sealed) -> float:
    """What part of a busy processor it has beside one other of the usual kind, by the kernel."""
    for line in Path(f"/proc/{container.pid}/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if "cpu" in controllers.split(","):
            shares = int(Path(f"/sys/fs/cgroup/{controllers}{path}/cpu.shares").read_text())
            return shares / (shares + 1024)
        if number == "0" and (weight := Path(f"/sys/fs/cgroup{path}/cpu.weight")).exists():
            return int(weight.read_text()) / (int(weight.read_text()) + 100)
    raise AssertionError("no control group of the processor's")


@pytest.mark.parametrize("runtime", ["runc", "runsc"])
def test_a_busy_processor_goes_to_who_serves_a_box_first(
    engine: TestEngine, image: str, tmp_path: Path, runtime: Runtime
) -> None:
    def as_engines_have_it(body: dict[str, Any]) -> None:
        body["HostConfig"]["CpuShares"] = 0

    sleep = ["/usr/bin/sleep", "60"]
    with sealed(engine.docker_host, image, tmp_path, sleep, runtime=runtime) as container:
        assert cpu_share(container) < 0.2
    with sealed(
        engine.docker_host, image, tmp_path, sleep, runtime=runtime, change=as_engines_have_it
    ) as container:
        assert cpu_share(container) == 0.5


def test_it_is_given_no_device_by_a_rule_or_by_a_request(inside: dict[str, Any]) -> None:
    host = inside["shown"]["HostConfig"]
    assert not host["DeviceCgroupRules"]
    assert not host["DeviceRequests"]
    assert not host["Devices"]


def test_only_loopback_and_the_engines_own_devices_are_there(inside: dict[str, Any]) -> None:
    assert inside["interfaces"] == ["lo"]
    assert set(inside["devices"]) <= {
        *("core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm"),
        *("stderr", "stdin", "stdout", "tty", "urandom", "zero", "console"),
    }


def test_orphans_are_reaped(inside: dict[str, Any], loosened: dict[str, Any]) -> None:
    assert inside["orphan remains"] is False
    assert loosened["orphan remains"] is True


def test_the_engine_took_every_limit(inside: dict[str, Any]) -> None:
    host = inside["shown"]["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == GIVEN.memory_mib * MIB
    assert host["PidsLimit"] == GIVEN.pids
    assert host["NanoCpus"] == round(box_cpus(None, processors=os.cpu_count() or 1) * 1e9)
    assert host["LogConfig"]["Config"] == {"max-size": "1m", "max-file": "1"}
    assert host["RestartPolicy"]["Name"] == "no"
    assert host["UsernsMode"] == ""
    assert set(host["MaskedPaths"]) == set(MASKED_PATHS)
