import ast
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.containers import hardening
from hakoiri.host.containers.hardening import (
    ContainerLimits,
    ContainerSpec,
    engine_configuration,
)

LIMITS = ContainerLimits(
    memory_mib=512,
    cpus=1.5,
    pids=128,
    tmp_mib=64,
    shm_mib=8,
    open_files=1024,
    file_limit_bytes=2**30,
)


def spec(**changes: Any) -> ContainerSpec:
    parts: dict[str, Any] = {
        "instance": "i1",
        "container_id": "c1",
        "image_id": "sha256:abc",
        "runtime": "runc",
        "limits": LIMITS,
        "seccomp_profile": "{}",
    }
    return ContainerSpec(**(parts | changes))


HOST = engine_configuration(spec())["HostConfig"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("NetworkMode", "none"),
        ("ReadonlyRootfs", True),
        ("Privileged", False),
        ("CapDrop", ["ALL"]),
        ("CapAdd", []),
        ("IpcMode", "private"),
        ("PidMode", ""),
        ("UTSMode", ""),
        ("CgroupnsMode", "private"),
        ("UsernsMode", ""),
        ("Devices", []),
        ("DeviceCgroupRules", []),
        ("DeviceRequests", []),
        ("Init", True),
        ("RestartPolicy", {"Name": "no"}),
        ("PidsLimit", 128),
        ("Memory", 512 * 2**20),
        ("MemorySwap", 512 * 2**20),
        ("NanoCpus", 1_500_000_000),
        ("CpuShares", 128),
        ("OomScoreAdj", 500),
        ("ShmSize", 8 * 2**20),
        ("AutoRemove", False),
    ],
)
def test_the_invariants_of_the_box(field: str, value: object) -> None:
    assert HOST[field] == value


def test_it_is_never_root_and_has_no_network_even_by_the_other_switch() -> None:
    configuration = engine_configuration(spec())
    assert configuration["User"] == "1000:1000"
    assert configuration["NetworkDisabled"] is True
    assert configuration["Image"] == "sha256:abc"


def test_no_core_dumps_and_bounded_files() -> None:
    ulimits = {entry["Name"]: (entry["Soft"], entry["Hard"]) for entry in HOST["Ulimits"]}
    assert ulimits == {"core": (0, 0), "nofile": (1024, 1024), "fsize": (2**30, 2**30)}


def test_tmp_is_bounded_in_bytes_and_inodes_and_makes_no_devices_or_set_id_files() -> None:
    ((target, options),) = HOST["Tmpfs"].items()
    assert target == "/tmp"  # noqa: S108 - inside the box
    assert set(options.split(",")) == {
        *("rw", "exec", "nosuid", "nodev", "mode=1777", "size=64m", "nr_inodes=16384")
    }


DOCKERS_MASKED = {
    *("/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats"),
    *("/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"),
}
NEWER_MASKED = {
    *("/proc/interrupts", "/sys/devices/virtual/powercap"),
    *("/sys/devices/system/cpu/cpu0/thermal_throttle",),
}


def test_at_least_what_engines_mask_is_masked_and_kept_from_writing() -> None:
    assert set(HOST["MaskedPaths"]) >= DOCKERS_MASKED | NEWER_MASKED
    assert len(set(HOST["MaskedPaths"])) == len(HOST["MaskedPaths"])
    read_only = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
    others = set(HOST["ReadonlyPaths"]) - read_only
    assert len(set(HOST["ReadonlyPaths"])) == len(HOST["ReadonlyPaths"])
    assert {"/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/devices"} <= others
    assert all(path.startswith("/sys/fs/cgroup") for path in others)


def test_each_processor_of_the_host_keeps_its_heat_to_itself() -> None:
    heat = [path for path in HOST["MaskedPaths"] if path.endswith("/thermal_throttle")]
    assert len(heat) == os.cpu_count()


def test_the_log_of_a_container_cannot_fill_the_disk() -> None:
    assert HOST["LogConfig"]["Config"] == {"max-size": "1m", "max-file": "1"}


def test_only_the_proxy_directory_is_seen_read_only_and_nothing_else_is_mounted() -> None:
    mounts = {mount["Target"]: mount for mount in HOST["Mounts"]}
    assert set(mounts) == {
        "/workspace",
        "/home/agent",
        "/run/hakoiri/proxy",
        "/run/hakoiri/agent",
    }
    assert mounts["/run/hakoiri/proxy"]["ReadOnly"] is True
    assert [mount["ReadOnly"] for mount in HOST["Mounts"]].count(True) == 1
    assert {mount["Type"] for mount in HOST["Mounts"]} == {"bind"}
    assert {mount["BindOptions"]["Propagation"] for mount in HOST["Mounts"]} == {"rprivate"}


def test_mounts_name_what_they_show_and_hold_no_path() -> None:
    assert [mount["Source"] for mount in HOST["Mounts"]] == ["workspace", "home", "proxy", "agent"]


def test_no_box_is_without_a_filter_and_the_bar_to_new_privileges() -> None:
    assert HOST["SecurityOpt"] == ["no-new-privileges:true", "seccomp={}"]
    confined = engine_configuration(spec(apparmor_profile="workspace-container"))
    assert confined["HostConfig"]["SecurityOpt"] == [
        "no-new-privileges:true",
        "seccomp={}",
        "apparmor=workspace-container",
    ]


def test_labels_say_what_it_is_and_not_whose() -> None:
    assert engine_configuration(spec())["Labels"] == {
        "hakoiri.instance": "i1",
        "hakoiri.container": "c1",
        "hakoiri.image": "sha256:abc",
        "hakoiri.runtime": "runc",
    }


@given(
    st.builds(
        ContainerLimits,
        memory_mib=st.integers(1, 10**6),
        cpus=st.floats(0.01, 64),
        pids=st.integers(1, 10**5),
        tmp_mib=st.integers(1, 10**5),
        shm_mib=st.integers(1, 10**5),
        open_files=st.integers(1, 10**6),
        file_limit_bytes=st.integers(1, 2**50),
    ),
    st.sampled_from(["runc", "runsc"]),
    st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=4),
)
def test_no_spec_opens_the_box(
    limits: ContainerLimits, runtime: str, environment: dict[str, str]
) -> None:
    host = engine_configuration(spec(limits=limits, runtime=runtime, environment=environment))[
        "HostConfig"
    ]
    dependent = {"Runtime", "PidsLimit", "Memory", "MemorySwap", "NanoCpus", "ShmSize"}
    assert host.keys() == HOST.keys()
    for field in HOST.keys() - dependent - {"Ulimits", "Tmpfs"}:
        assert host[field] == HOST[field]
    assert {entry["Name"]: entry["Hard"] for entry in host["Ulimits"]}["core"] == 0
    (options,) = host["Tmpfs"].values()
    assert {"nosuid", "nodev", f"size={limits.tmp_mib}m"} <= set(options.split(","))
    assert host["MemorySwap"] == host["Memory"]
    assert "no-new-privileges:true" in host["SecurityOpt"]


WITH_THE_ONE_ABOVE = {
    "HostConfig",
    "CapAdd",
    "DeviceCgroupRules",
    "DeviceRequests",
    "ReadonlyPaths",
}
"""What the comment over another field tells as well; `HostConfig` holds the rest."""


def test_every_field_is_explained_where_it_is_set() -> None:
    source = Path(hardening.__file__).read_text()
    lines, bare, fields = source.splitlines(), set[str](), set[str]()
    for function in ast.parse(source).body:
        if not isinstance(function, ast.FunctionDef) or "configuration" not in function.name:
            continue
        (whole,) = (one.value for one in ast.walk(function) if isinstance(one, ast.Return))
        assert isinstance(whole, ast.Dict)
        for key in whole.keys:
            assert isinstance(key, ast.Constant)
            fields.add(str(key.value))
            above, below = lines[key.lineno - 2].lstrip(), lines[key.lineno].lstrip()
            is_list = lines[key.lineno - 1].endswith("[")  # explained one by one
            if not (above.startswith("#") or (is_list and below.startswith("#"))):
                bare.add(str(key.value))
    assert {"Hostname", "Privileged", "Runtime"} <= fields
    assert bare == WITH_THE_ONE_ABOVE
