"""The filter at work: each forbidden call, made in a container of our own configuration.

Each is made three times: as it would be by an agent, by a root with capabilities (so that nothing
but the filter refuses it), and by the same root without the filter, whose answer is another.
"""

import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deployment.seccomp.measure import model
from tests.conftest import give_up
from tests.engine import TestEngine
from tests.integration.host.containers import syscall_probe
from tests.integration.host.containers.sealed import (
    Change,
    Runtime,
    as_mighty_root,
    bare_root,
    sealed,
)
from tests.seccomp.libseccomp import is_known, number_of

from hakoiri.cli.doctor.engine_facts import read_engine
from hakoiri.host.container_settings import ContainerSettings
from hakoiri.host.containers.box import read_profile

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[4]
WORKLOADS = ROOT / "deployment/seccomp/workloads"
EPERM, ENOSYS = 1, 38
PROFILE = read_profile(ContainerSettings())
FORBIDDEN = sorted(
    {*syscall_probe.CALLS, *syscall_probe.SOCKETS, *(["32-bit getpid"] * syscall_probe.X86)}
)
ALLOWED = sorted(syscall_probe.MADE)

GVISOR_REFUSES_THEM_ITSELF = {
    *("clock_settime", "io_uring_enter", "modify_ldt", "clone3"),
    *("socket AF_PACKET", "socket AF_INET raw", "socket AF_INET6 raw", "32-bit getpid"),
}

Answers = dict[str, int | str]


def answers(
    engine: TestEngine, image: str, root: Path, runtime: Runtime, change: Change | None
) -> Answers:
    source = Path(syscall_probe.__file__).read_text()
    command = ["/usr/bin/python3", "-c", source]
    with sealed(
        engine.docker_host, image, root, command, runtime=runtime, change=change
    ) as container:
        found: Answers = json.loads(container.output())
        return found


@pytest.fixture(scope="module")
def seen(
    engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], Answers]:
    """Answers by runtime and by who asks: the agent, a root behind the filter, a bare root."""
    root = tmp_path_factory.mktemp("seccomp")
    runtimes: tuple[Runtime, ...] = ("runc", "runsc")
    asking = {"agent": None, "root": as_mighty_root, "bare": bare_root}
    return {
        (runtime, who): answers(engine, image, root, runtime, change)
        for runtime in runtimes
        for who, change in asking.items()
    }


def expected(name: str) -> int | str:
    """What the profile says to a call of the probe, under runc."""
    if name in ("32-bit getpid", "x32 getpid"):
        return "SIGSYS"
    for rule in PROFILE.syscalls:
        if name in rule.names and rule.action == "SCMP_ACT_KILL_PROCESS":
            return "SIGSYS"
        if name in rule.names and rule.errnoRet is not None:
            return rule.errnoRet
    return EPERM


@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_forbidden_call_is_refused_by_the_filter_and_by_nothing_else(
    seen: dict[tuple[str, str], Answers], name: str
) -> None:
    assert seen["runc", "agent"][name] == expected(name)
    assert seen["runc", "root"][name] == expected(name)
    assert seen["runc", "bare"][name] != expected(name)


@pytest.mark.parametrize("name", FORBIDDEN)
def test_under_gvisor_it_is_refused_too(seen: dict[tuple[str, str], Answers], name: str) -> None:
    refused = {"SIGSYS", EPERM}
    if name == "clone3":
        refused = {ENOSYS}
    elif name == "32-bit getpid":
        refused = {"no process"}
    assert seen["runsc", "agent"][name] in refused
    assert seen["runsc", "root"][name] in refused
    if name not in GVISOR_REFUSES_THEM_ITSELF:
        assert seen["runsc", "bare"][name] not in refused


@pytest.mark.parametrize("runtime", ["runc", "runsc"])
@pytest.mark.parametrize("name", ALLOWED)
def test_the_sockets_that_loopback_needs_can_be_made(
    seen: dict[tuple[str, str], Answers], runtime: str, name: str
) -> None:
    assert seen[runtime, "agent"][name] == "through"


def test_the_filter_is_on_for_every_process(engine: TestEngine, image: str, tmp_path: Path) -> None:
    command = ["/bin/grep", "-hE", "^(Seccomp|NoNewPrivs):", "/proc/1/status", "/proc/self/status"]
    with sealed(engine.docker_host, image, tmp_path, command) as container:
        said = container.output().split()
    assert said == ["NoNewPrivs:", "1", "Seccomp:", "2"] * 2


@pytest.mark.parametrize("runtime", ["runc", "runsc"])
@pytest.mark.parametrize(
    "workload", sorted(path.stem for path in WORKLOADS.glob("*.sh") if path.stem != "agent")
)
def test_honest_programs_work_behind_the_filter(
    engine: TestEngine, image: str, tmp_path: Path, runtime: Runtime, workload: str
) -> None:
    with sealed(
        engine.docker_host,
        image,
        tmp_path,
        ["/bin/bash", f"/workloads/{workload}.sh"],
        runtime=runtime,
        change=with_workloads,
    ) as container:
        assert container.output().endswith(f"{workload}: all done\n")


def with_workloads(body: dict[str, Any]) -> None:
    mount = {"Type": "bind", "Source": str(WORKLOADS), "Target": "/workloads", "ReadOnly": True}
    body["HostConfig"]["Mounts"].append(mount)


def test_the_agent_works_behind_the_filter_with_all_its_tools(
    engine: TestEngine, image: str, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        give_up("only root can enter the container's network")
    command = ["/bin/bash", "-c", "read -r _ </workspace/gate; exec bash /workloads/agent.sh"]

    def with_gate(body: dict[str, Any]) -> None:
        with_workloads(body)
        workspace = Path(body["HostConfig"]["Mounts"][0]["Source"])
        os.mkfifo(workspace / "gate")
        (workspace / "gate").chmod(0o666)

    with (
        sealed(engine.docker_host, image, tmp_path, command, change=with_gate) as container,
        model(container.pid),
    ):
        (container.root / "workspace/gate").write_text("go\n")
        assert container.output().endswith("agent: all done\n")


@pytest.fixture
def engines_own(engine: TestEngine, image: str, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The filter that the engine itself gives to a container without capabilities, as resolved."""

    def by_default(body: dict[str, Any]) -> None:
        body["HostConfig"]["SecurityOpt"] = ["no-new-privileges:true"]

    with sealed(
        engine.docker_host, image, tmp_path, ["/bin/sleep", "60"], change=by_default
    ) as container:
        engine_id = container.shown["Id"]
        daemon = "containerd/daemon"
        places = (f"run/docker/{daemon}", "run/containerd", f"run/hakoiri-engine-*/exec/{daemon}")
        found = [
            path
            for place in places
            for path in Path("/").glob(f"{place}/io.containerd.runtime.v2.task/moby/{engine_id}")
        ]
        if not found:
            give_up("the engine's own description of its containers is not within reach")
        yield json.loads((found[0] / "config.json").read_text())["linux"]["seccomp"]


def test_it_lets_through_strictly_less_than_the_engines_own(engines_own: dict[str, Any]) -> None:
    plain, conditional = set[str](), set[str]()
    for rule in engines_own["syscalls"]:
        if rule["action"] == "SCMP_ACT_ALLOW":
            (conditional if rule.get("args") else plain).update(rule["names"])
    assert len(plain) > 300
    assert PROFILE.allowed_names() < plain | conditional
    only_so = (conditional - plain) & PROFILE.allowed_names()
    assert only_so <= set(PROFILE.conditions())


def test_the_table_tells_how_many_calls_the_engines_own_lets_through(
    engine: TestEngine, engines_own: dict[str, Any]
) -> None:
    """Of the version that the table names; of another it says nothing."""
    page = (ROOT / "docs/security/seccomp-syscall-analysis.md").read_text()
    (row,) = (line for line in page.splitlines() if line.startswith("| the default of Docker "))
    rules = [rule for rule in engines_own["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW"]
    names = {name for rule in rules for name in rule["names"]}
    calls = {name for name in names if is_known(name) and number_of(name, "x86_64") is not None}
    version = read_engine(engine.docker_host).version.partition("+")[0]
    if f"Docker {version}," in row and platform.machine() == "x86_64":
        assert f"| {len(names)} | {len(calls)} |" in row
