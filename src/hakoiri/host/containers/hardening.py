"""What a sealed container is: from a spec to the engine's configuration, purely.

Every invariant of the box stands here and nowhere else. A spec can say how much a container gets;
nothing in a spec can open it. Sources: Docker Engine API v1.41 `ContainerCreate`, OWASP Docker
Security Cheat Sheet, CIS Docker Benchmark sections 4 and 5.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hakoiri.wire.agent import PROXY_MOUNT
from hakoiri.wire.guard import (
    AGENT_TARGET,
    CONTAINER_GID,
    CONTAINER_UID,
    HOME_TARGET,
    LABEL_CONTAINER,
    LABEL_IMAGE,
    LABEL_INSTANCE,
    LABEL_RUNTIME,
    SOURCE_AGENT,
    SOURCE_HOME,
    SOURCE_PROXY,
    SOURCE_WORKSPACE,
    WORKSPACE_TARGET,
)
from hakoiri.wire.messages import Runtime

MIB: Final = 1024 * 1024
PAGE_BYTES: Final = 4096
OOM_SCORE_ADJ: Final = 500
"""Under host pressure the kernel takes a container before any of our processes."""

CPU_SHARES: Final = 128
"""An eighth of what a process of the host has by default (1024): many boxes that burn processors
leave the server, the proxy and the engine theirs. With control groups of version 2 runc makes of it
a weight of 5 to 20, by its version, against 100. A processor that nobody else wants is theirs all
the same."""

MASKED_PATHS: Final = (
    # what engines mask, said here so that no engine's own default can shorten it
    *("/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys"),
    *("/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list"),
    *("/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware"),
    *(
        f"/sys/devices/system/cpu/cpu{number}/thermal_throttle"
        for number in range(os.cpu_count() or 1)
    ),
    # how the host was booted, what is in its kernel, and the kernel's own debugging
    *("/proc/cmdline", "/proc/config.gz", "/proc/kallsyms", "/proc/kmsg", "/proc/kpagecount"),
    *("/proc/kpageflags", "/proc/modules", "/proc/vmallocinfo"),
    *("/sys/kernel/debug", "/sys/kernel/security", "/sys/kernel/tracing", "/sys/module"),
)
"""Not to be read in a container: an empty file or directory lies over each that exists.

The first part is what Docker 20.10 masks and what later releases added (moby's default masked paths
of 2026: interrupt counts and, for each processor, heat and power, which tell what others compute).
"""

READ_ONLY_PATHS: Final = (
    *("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"),
    # under cgroup v1 the engine leaves the directory over the controllers writable
    "/sys/fs/cgroup",
    # under userns-remap the engine mounts those of cgroup v1, and all of v2, to be written
    *("/sys/fs/cgroup/blkio", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"),
    *("/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup/cpuset", "/sys/fs/cgroup/devices"),
    *("/sys/fs/cgroup/freezer", "/sys/fs/cgroup/hugetlb", "/sys/fs/cgroup/memory"),
    *("/sys/fs/cgroup/misc", "/sys/fs/cgroup/net_cls", "/sys/fs/cgroup/net_cls,net_prio"),
    *("/sys/fs/cgroup/net_prio", "/sys/fs/cgroup/perf_event", "/sys/fs/cgroup/pids"),
    *("/sys/fs/cgroup/rdma", "/sys/fs/cgroup/systemd"),
)
"""Not to be written, whatever rights a process has: they set how the whole host works."""


@dataclass(frozen=True, slots=True)
class ContainerLimits:
    """How much one container gets."""

    memory_mib: int
    cpus: float
    pids: int
    tmp_mib: int
    shm_mib: int
    open_files: int
    file_limit_bytes: int


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container to be made; `environment` must hold no secret."""

    instance: str
    container_id: str
    image_id: str
    runtime: Runtime
    limits: ContainerLimits
    seccomp_profile: str
    """The profile's JSON, fit for the runtime (`seccomp.filter_for`)."""

    environment: Mapping[str, str] = field(default_factory=dict)
    apparmor_profile: str | None = None


def engine_configuration(spec: ContainerSpec) -> dict[str, Any]:
    """Return the body of `POST /containers/create` for a sealed container."""
    return {
        # by its content, never by a tag, which may name another image a moment later
        "Image": spec.image_id,
        # never root, even inside
        "User": f"{CONTAINER_UID}:{CONTAINER_GID}",
        # the same in every box, and nothing of the host's; the engine would take the container's id
        "Hostname": "workspace",
        # where programs start: on the workspace's disk, never in the read-only root
        "WorkingDir": WORKSPACE_TARGET,
        # no secret: what is here every process in the box can read
        "Env": [f"{name}={value}" for name, value in sorted(spec.environment.items())],
        # what it is to us, for good: the engine lets nobody change them
        "Labels": labels(spec),
        # the other switch for "NetworkMode" below: either alone leaves no network
        "NetworkDisabled": True,
        # no way in through the engine: nobody types into it,
        "OpenStdin": False,
        # and no terminal, whose control sequences and ioctls would be one more thing to share
        "Tty": False,
        "HostConfig": _host_configuration(spec),
    }


def labels(spec: ContainerSpec) -> dict[str, str]:
    """Return what the engine can tell of a container; whose it is, only the database knows."""
    return {
        LABEL_INSTANCE: spec.instance,
        LABEL_CONTAINER: spec.container_id,
        LABEL_IMAGE: spec.image_id,
        LABEL_RUNTIME: spec.runtime,
    }


def _host_configuration(spec: ContainerSpec) -> dict[str, Any]:
    limits = spec.limits
    return {
        # runc or runsc: whose kernel its calls reach
        "Runtime": spec.runtime,
        # no interface but `lo`: the sockets below are the only way out
        "NetworkMode": "none",
        # what is not a mount below cannot be changed
        "ReadonlyRootfs": True,
        # true would undo most of what follows: all capabilities, devices, no filter, nothing masked
        "Privileged": False,
        # no right of root's, even for a process that became root
        "CapDrop": ["ALL"],
        "CapAdd": [],
        # no new privileges, the filter of system calls, AppArmor's profile
        "SecurityOpt": _security_options(spec),
        # namespaces of its own; nothing shared with the host or another container: shared memory
        # and semaphores,
        "IpcMode": "private",
        # processes (absent means its own; there is no word for it),
        "PidMode": "",
        # host name (the same),
        "UTSMode": "",
        # and the view of the control groups
        "CgroupnsMode": "private",
        # as the engine is set up: with userns-remap, ids in the box are nobody's outside; only
        # "host" would take that away
        "UsernsMode": "",
        # none of the host's devices; /dev holds null, zero, random and the like
        "Devices": [],
        "DeviceCgroupRules": [],
        "DeviceRequests": [],
        # what of /proc and /sys cannot be read, and what cannot be written
        "MaskedPaths": list(MASKED_PATHS),
        "ReadonlyPaths": list(READ_ONLY_PATHS),
        # a fork bomb ends here
        "PidsLimit": limits.pids,
        # what it has in memory, tmpfs and page cache included; beyond it the kernel ends a process
        "Memory": limits.memory_mib * MIB,
        # equal to Memory: no swap, so that a memory bomb ends at the limit
        "MemorySwap": limits.memory_mib * MIB,
        # a share of the processors, which a busy loop cannot exceed
        "NanoCpus": round(limits.cpus * 1_000_000_000),
        # whoever serves it goes before it on a busy processor; the same for all boxes
        "CpuShares": CPU_SHARES,
        # the first to go when the host itself is short of memory
        "OomScoreAdj": OOM_SCORE_ADJ,
        "Ulimits": [
            # open files of one process: a flood of descriptors ends there
            _ulimit("nofile", limits.open_files),
            # no core dump: it would hold the agent's memory and may reach a helper on the host
            _ulimit("core", 0),
            # one file's size, so that none is larger than what a recovery point can hold
            _ulimit("fsize", limits.file_limit_bytes),
        ],
        # of memory, bounded in bytes and files, no set-id and no devices
        "Tmpfs": {"/tmp": _tmp_options(limits.tmp_mib)},  # noqa: S108 - the container's own
        # /dev/shm; the engine mounts it nosuid, nodev, noexec
        "ShmSize": limits.shm_mib * MIB,
        # reaps orphans, so that a flood of zombies cannot use up the pids limit for good
        "Init": True,
        # none: a container that ended is replaced by the orchestrator, under a new generation
        "RestartPolicy": {"Name": "no"},
        # no: how it ended is asked of the engine first, and its files are saved before it goes
        "AutoRemove": False,
        # bounded, or an endless line on standard output would fill the host's disk
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
        "Mounts": [
            # names, not paths: the guard shows what it made for this container
            _bind(SOURCE_WORKSPACE, WORKSPACE_TARGET),
            _bind(SOURCE_HOME, HOME_TARGET),
            # read-only: the container can speak to the socket, not replace it
            _bind(SOURCE_PROXY, PROXY_MOUNT, read_only=True),
            _bind(SOURCE_AGENT, AGENT_TARGET),
        ],
    }


def _security_options(spec: ContainerSpec) -> list[str]:
    # a set-id file gives no right, and the filter holds for whatever is executed
    options = ["no-new-privileges:true", f"seccomp={spec.seccomp_profile}"]
    if spec.apparmor_profile is not None:
        options.append(f"apparmor={spec.apparmor_profile}")
    return options


def _tmp_options(size_mib: int) -> str:
    """Return the mount options of `/tmp`.

    `exec`, which the engine would take away by default: builds run their programs there. One inode
    for each page of memory: a file that is not empty takes a page, and a flood of empty ones ends.
    """
    inodes = size_mib * MIB // PAGE_BYTES
    return f"rw,exec,nosuid,nodev,mode=1777,size={size_mib}m,nr_inodes={inodes}"


def _ulimit(name: str, value: int) -> dict[str, Any]:
    return {"Name": name, "Soft": value, "Hard": value}


def _bind(source: str, target: str, *, read_only: bool = False) -> dict[str, Any]:
    return {
        "Type": "bind",
        "Source": source,
        "Target": target,
        "ReadOnly": read_only,
        "BindOptions": {"Propagation": "rprivate"},
    }
