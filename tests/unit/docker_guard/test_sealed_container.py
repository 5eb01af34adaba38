from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.docker_guard.bodies import ID, LIMITS, PROFILE, RULES, changed, sealed

from hakoiri.docker_guard import kernel_paths
from hakoiri.docker_guard.refusal import CallRefusedError
from hakoiri.docker_guard.rules import Rules
from hakoiri.docker_guard.sealed_container import (
    check_body,
    check_runtime,
    engine_body,
    read_body,
)
from hakoiri.host.containers import hardening
from hakoiri.host.containers.hardening import ContainerLimits

OTHER_ID = "sha256:" + "00" * 32
BARE = RULES.model_copy(update={"images": {}})
TMP = "/tmp"  # noqa: S108 - the container's own
SOURCES = {name: Path("/tree") / ID / name for name in ("workspace", "home", "proxy", "agent")}


def judged(document: object, rules: Rules = RULES) -> dict[str, Any]:
    body = read_body(document)
    check_body(body, container_id=ID, rules=rules)
    return engine_body(body, sources=SOURCES, rules=rules, is_remapped=False)


def test_what_the_server_sends_passes_and_only_the_sources_become_paths() -> None:
    expected = sealed()
    for mount in expected["HostConfig"]["Mounts"]:
        mount["Source"] = f"/tree/{ID}/{mount['Source']}"
    assert judged(sealed()) == expected


@pytest.mark.parametrize(
    ("runtime", "is_remapped", "read_only"),
    [("runc", True, False), ("runc", False, True), ("runsc", True, True)],
)
def test_only_for_a_remapped_runc_read_only_is_left_to_the_guards_own_mount(
    runtime: Any, *, is_remapped: bool, read_only: bool
) -> None:
    body = read_body(sealed(runtime=runtime))
    made = engine_body(body, sources=SOURCES, rules=RULES, is_remapped=is_remapped)
    mounts = {mount["Target"]: mount["ReadOnly"] for mount in made["HostConfig"]["Mounts"]}
    assert mounts.pop("/run/hakoiri/proxy") is read_only
    assert not any(mounts.values())


def test_a_runtime_without_a_filter_starts_nothing() -> None:
    rules = RULES.model_copy(update={"seccomp_profiles": {}, "apparmor_profile": None})
    body = sealed(apparmor_profile=None)
    body["HostConfig"]["SecurityOpt"] = ["no-new-privileges:true"]
    for document in (body, sealed(apparmor_profile=None)):
        with pytest.raises(CallRefusedError):
            judged(document, rules)


def test_the_guard_masks_what_the_server_masks() -> None:
    assert kernel_paths.MASKED_PATHS == hardening.MASKED_PATHS
    assert kernel_paths.READ_ONLY_PATHS == hardening.READ_ONLY_PATHS


HOSTILE: dict[str, tuple[str, Any]] = {
    "privileged": ("HostConfig.Privileged", True),
    "privileged as a number": ("HostConfig.Privileged", 0),
    "privileged in lower case": ("HostConfig.privileged", True),
    "a capability": ("HostConfig.CapAdd", ["SYS_ADMIN"]),
    "a capability kept": ("HostConfig.CapDrop", ["NET_RAW"]),
    "all capabilities kept": ("HostConfig.CapDrop", []),
    "old spelling of capabilities": ("HostConfig.Capabilities", ["ALL"]),
    "the host's network": ("HostConfig.NetworkMode", "host"),
    "another's network": ("HostConfig.NetworkMode", "container:abc"),
    "the host's processes": ("HostConfig.PidMode", "host"),
    "another's processes": ("HostConfig.PidMode", "container:abc"),
    "the host's ipc": ("HostConfig.IpcMode", "host"),
    "the host's name": ("HostConfig.UTSMode", "host"),
    "the host's users": ("HostConfig.UsernsMode", "host"),
    "the host's cgroups": ("HostConfig.CgroupnsMode", "host"),
    "a cgroup of its choice": ("HostConfig.CgroupParent", "/"),
    "binds": ("HostConfig.Binds", ["/:/host"]),
    "no binds": ("HostConfig.Binds", []),
    "volumes of another": ("HostConfig.VolumesFrom", ["other"]),
    "a volume": ("Volumes", {"/host": {}}),
    "a path as source": ("HostConfig.Mounts.0.Source", "/etc"),
    "a path above as source": ("HostConfig.Mounts.0.Source", "../../etc"),
    "the workspace elsewhere": ("HostConfig.Mounts.0.Target", "/home/agent"),
    "the proxy's directory writable": ("HostConfig.Mounts.2.ReadOnly", False),
    "a shared mount": ("HostConfig.Mounts.0.BindOptions.Propagation", "rshared"),
    "a mount of another type": ("HostConfig.Mounts.0.Type", "volume"),
    "a mount too few": ("HostConfig.Mounts", []),
    "a device": (
        "HostConfig.Devices",
        [{"PathOnHost": "/dev/sda", "PathInContainer": "/d", "CgroupPermissions": "rwm"}],
    ),
    "a device rule": ("HostConfig.DeviceCgroupRules", ["a *:* rwm"]),
    "device requests": ("HostConfig.DeviceRequests", [{"Driver": "nvidia"}]),
    "another runtime": ("HostConfig.Runtime", "crun"),
    "another runtime of ours": ("HostConfig.Runtime", "runsc"),
    "no security options": ("HostConfig.SecurityOpt", []),
    "unconfined": ("HostConfig.SecurityOpt", ["no-new-privileges:true", "seccomp=unconfined"]),
    "another profile": (
        "HostConfig.SecurityOpt",
        ["no-new-privileges:true", 'seccomp={"defaultAction":"SCMP_ACT_ALLOW"}'],
    ),
    "no AppArmor profile": (
        "HostConfig.SecurityOpt",
        ["no-new-privileges:true", f"seccomp={PROFILE}"],
    ),
    **{
        f"AppArmor profile {name!r}": ("HostConfig.SecurityOpt.2", f"apparmor={name}")
        for name in ("unconfined", "docker-default", "", "workspace-container ")
    },
    "two AppArmor profiles": (
        "HostConfig.SecurityOpt",
        [*sealed()["HostConfig"]["SecurityOpt"], "apparmor=unconfined"],
    ),
    "AppArmor in the old spelling": ("HostConfig.SecurityOpt.2", "apparmor:workspace-container"),
    "new privileges": ("HostConfig.SecurityOpt.0", "no-new-privileges:false"),
    "system paths": ("HostConfig.SecurityOpt.0", "systempaths=unconfined"),
    "no masked paths": ("HostConfig.MaskedPaths", []),
    "a masked path less": ("HostConfig.MaskedPaths", list(hardening.MASKED_PATHS[1:])),
    "no read-only paths": ("HostConfig.ReadonlyPaths", []),
    "a read-only path less": ("HostConfig.ReadonlyPaths", list(hardening.READ_ONLY_PATHS[1:])),
    "a writable root": ("HostConfig.ReadonlyRootfs", False),
    "kernel settings": ("HostConfig.Sysctls", {"kernel.core_pattern": "|/x"}),
    "groups": ("HostConfig.GroupAdd", ["0"]),
    "ports": ("HostConfig.PortBindings", {"80/tcp": [{"HostPort": "80"}]}),
    "all ports": ("HostConfig.PublishAllPorts", True),
    "an exposed port": ("ExposedPorts", {"80/tcp": {}}),
    "hosts": ("HostConfig.ExtraHosts", ["a:1.2.3.4"]),
    "links": ("HostConfig.Links", ["a:b"]),
    "no init": ("HostConfig.Init", False),
    "restart always": ("HostConfig.RestartPolicy", {"Name": "always"}),
    "an endless log": ("HostConfig.LogConfig", {"Type": "json-file", "Config": {}}),
    "a log elsewhere": ("HostConfig.LogConfig.Type", "syslog"),
    "a container id file": ("HostConfig.ContainerIDFile", "/etc/x"),
    "no process limit": ("HostConfig.PidsLimit", -1),
    "no process limit by zero": ("HostConfig.PidsLimit", 0),
    "no process limit by null": ("HostConfig.PidsLimit", None),
    "a limit as text": ("HostConfig.PidsLimit", "64"),
    "a limit as a truth": ("HostConfig.PidsLimit", True),
    "a limit with a point": ("HostConfig.PidsLimit", 64.0),
    "too many processes": ("HostConfig.PidsLimit", 129),
    "no memory limit": ("HostConfig.Memory", 0),
    "swap without end": ("HostConfig.MemorySwap", -1),
    "swap": ("HostConfig.MemorySwap", 1024 * 2**20),
    "less swap than memory": ("HostConfig.MemorySwap", 256 * 2**20),
    "no processor limit": ("HostConfig.NanoCpus", 0),
    "too much processor": ("HostConfig.NanoCpus", 1_500_000_001),
    "as much of a busy processor as who serves it": ("HostConfig.CpuShares", 1024),
    "the engine's own share of a busy processor": ("HostConfig.CpuShares", 0),
    "a share with a point": ("HostConfig.CpuShares", 128.0),
    "all of the processor": ("HostConfig.CpuQuota", -1),
    "no out-of-memory kill": ("HostConfig.OomKillDisable", True),
    "a number with a point": ("HostConfig.OomScoreAdj", 500.0),
    "a truth as a number": ("HostConfig.Init", 1),
    "spared under pressure": ("HostConfig.OomScoreAdj", -1000),
    "shared memory": ("HostConfig.ShmSize", 2**40),
    "a memory file system without end": ("HostConfig.Tmpfs", {TMP: "rw,exec"}),
    "a larger memory file system": (
        "HostConfig.Tmpfs",
        {TMP: "rw,exec,nosuid,nodev,mode=1777,size=65m,nr_inodes=16384"},
    ),
    "a memory file system with more inodes": (
        "HostConfig.Tmpfs",
        {TMP: "rw,exec,nosuid,nodev,mode=1777,size=64m,nr_inodes=16385"},
    ),
    "a memory file system without a bound of inodes": (
        "HostConfig.Tmpfs",
        {TMP: "rw,exec,nosuid,nodev,mode=1777,size=64m"},
    ),
    "set-id files in memory": (
        "HostConfig.Tmpfs",
        {TMP: "rw,exec,suid,dev,mode=1777,size=64m,nr_inodes=16384"},
    ),
    "another memory file system": ("HostConfig.Tmpfs", {"/etc": "rw"}),
    "options after the size": (
        "HostConfig.Tmpfs",
        {TMP: "rw,exec,nosuid,nodev,mode=1777,size=64m,nr_inodes=16384\n,suid"},
    ),
    "core dumps": ("HostConfig.Ulimits.1", {"Name": "core", "Soft": 1, "Hard": 1}),
    "core dumps on request": ("HostConfig.Ulimits.1", {"Name": "core", "Soft": 0, "Hard": 1}),
    "no limit of core dumps": (
        "HostConfig.Ulimits.1",
        {"Name": "nofile", "Soft": 1024, "Hard": 1024},
    ),
    "more files on request": (
        "HostConfig.Ulimits.0",
        {"Name": "nofile", "Soft": 1, "Hard": 1024},
    ),
    "files without end": ("HostConfig.Ulimits.0", {"Name": "nofile", "Soft": 1, "Hard": 1025}),
    "too many open files": (
        "HostConfig.Ulimits.0",
        {"Name": "nofile", "Soft": 1025, "Hard": 1025},
    ),
    "too large files": (
        "HostConfig.Ulimits.2",
        {"Name": "fsize", "Soft": 2**30 + 1, "Hard": 2**30 + 1},
    ),
    "locked memory": ("HostConfig.Ulimits.0", {"Name": "memlock", "Soft": -1, "Hard": -1}),
    "root": ("User", "0:0"),
    "root by name": ("User", "root"),
    "nobody said": ("User", ""),
    "a network": ("NetworkDisabled", False),
    "a network by its settings": ("NetworkingConfig", {"EndpointsConfig": {"bridge": {}}}),
    "a network address": ("MacAddress", "02:42:ac:11:00:02"),
    "a command": ("Cmd", ["sh"]),
    "an entry point": ("Entrypoint", ["sh"]),
    "a health check": ("Healthcheck", {"Test": ["CMD", "sh"]}),
    "a terminal": ("Tty", True),
    "an input": ("OpenStdin", True),
    "an image by its tag": ("Image", "hakoiri/workspace:test"),
    "an image by its name": ("Image", "alpine"),
    "a label of its own": ("Labels.other", "x"),
    "another instance": ("Labels.hakoiri\\.instance", "ffffffffffff"),
    "a variable with a line break": ("Env.0", "A=b\nLD_PRELOAD=x"),
    "a variable without a name": ("Env.0", "=x"),
    "an unknown field": ("HostConfig.Whatever", 1),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_container_that_is_less_sealed_is_refused(case: str) -> None:
    path, value = HOSTILE[case]
    if "\\." in path:
        document = sealed()
        document["Labels"]["hakoiri.instance"] = value
    else:
        document = changed(path, value)
    with pytest.raises(CallRefusedError) as refused:
        judged(document)
    assert refused.value.status == 403
    assert refused.value.code == "container-not-sealed"


def every_path(document: Any, prefix: str = "") -> list[str]:
    if isinstance(document, dict):
        return [
            path
            for name, inner in document.items()
            for path in [f"{prefix}{name}", *every_path(inner, f"{prefix}{name}.")]
            if "hakoiri." not in name
        ]
    return []


@pytest.mark.parametrize("path", every_path(sealed()))
def test_a_field_that_is_missing_or_spelled_otherwise_is_refused(path: str) -> None:
    document = sealed()
    *parents, last = path.split(".")
    place = document
    for name in parents:
        place = place[name]
    value = place.pop(last)
    with pytest.raises(CallRefusedError):
        judged(document)
    place[last.swapcase()] = value
    if last.swapcase() != last:
        with pytest.raises(CallRefusedError):
            judged(document)


@pytest.mark.parametrize("field", ["hakoiri.container", "hakoiri.image", "hakoiri.runtime"])
def test_labels_that_lie_are_refused(field: str) -> None:
    document = sealed()
    document["Labels"][field] = "other"
    with pytest.raises(CallRefusedError, match="Labels"):
        judged(document)


def test_a_container_under_anothers_name_is_refused() -> None:
    with pytest.raises(CallRefusedError, match="Labels"):
        check_body(read_body(sealed()), container_id="c" + "0" * 16, rules=RULES)


def test_a_runtime_that_the_guard_was_not_told_of_is_refused() -> None:
    rules = RULES.model_copy(update={"runtimes": ("runc",)})
    judged(sealed(), rules)
    with pytest.raises(CallRefusedError, match="Runtime"):
        judged(sealed(runtime="runsc"), rules)


@given(
    st.builds(
        ContainerLimits,
        memory_mib=st.integers(1, 1024),
        cpus=st.floats(0.01, 3),
        pids=st.integers(1, 256),
        tmp_mib=st.integers(1, 128),
        shm_mib=st.integers(1, 16),
        open_files=st.integers(0, 2048),
        file_limit_bytes=st.integers(0, 2**31),
    )
)
def test_less_than_the_ceilings_passes_and_more_does_not(limits: ContainerLimits) -> None:
    fits = all(
        getattr(limits, name) <= getattr(LIMITS, name) for name in LIMITS.__dataclass_fields__
    )
    try:
        made = judged(sealed(limits=limits))
    except CallRefusedError:
        assert not fits
        return
    host = made["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] <= LIMITS.memory_mib * 2**20
    assert host["PidsLimit"] <= LIMITS.pids


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)


@given(st.sampled_from(every_path(sealed())), JSON)
def test_any_value_anywhere_is_the_sealed_one_a_smaller_limit_or_refused(
    path: str, value: Any
) -> None:
    try:
        made = judged(changed(path, value))
    except CallRefusedError:
        return
    expected = judged(sealed())
    host, sealed_host = made["HostConfig"], expected["HostConfig"]
    limits = ("PidsLimit", "Memory", "MemorySwap", "NanoCpus", "ShmSize")
    assert {name: one for name, one in host.items() if name not in limits} == {
        name: one for name, one in sealed_host.items() if name not in limits
    }
    assert all(0 < host[name] <= sealed_host[name] for name in limits)
    assert {name: one for name, one in made.items() if name not in {"HostConfig", "Env"}} == {
        name: one for name, one in expected.items() if name not in {"HostConfig", "Env"}
    }


def test_only_an_image_of_ours_by_its_content_is_started() -> None:
    judged(sealed())
    for rules in (RULES.model_copy(update={"images": {"hakoiri/workspace:test": OTHER_ID}}), BARE):
        with pytest.raises(CallRefusedError, match="start `hakoiri serve` anew") as refused:
            judged(sealed(), rules)
        assert refused.value.code == "image-not-ours"


@pytest.mark.parametrize(
    "arguments",
    [
        None,
        (),
        ("--network=none", "--host-uds=all"),
        ("--network=host", "--host-uds=all", "--oci-seccomp"),
        ("--network=none", "--host-uds=all", "--oci-seccomp", "--oci-seccomp=false"),
        ("--network=none", "--host-uds=all", "--oci-seccomp", "-network", "host"),
    ],
)
def test_runsc_without_its_flags_is_refused(arguments: tuple[str, ...] | None) -> None:
    with pytest.raises(CallRefusedError, match="runsc"):
        check_runtime("runsc", arguments)
    check_runtime("runsc", ("--network=none", "--host-uds=all", "--oci-seccomp", "--debug=true"))
    check_runtime("runc", None)


def test_a_refusal_names_the_field_and_does_not_repeat_what_was_sent() -> None:
    with pytest.raises(CallRefusedError) as refused:
        judged(changed("HostConfig.NetworkMode", "planted-value"))
    assert "HostConfig.NetworkMode" in refused.value.detail
    for path in every_path(sealed()):
        with pytest.raises(CallRefusedError) as refused:
            judged(changed(path, "planted-value"))
        assert "planted-value" not in refused.value.detail, path
