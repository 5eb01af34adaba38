"""What a sealed container is: from a spec to the engine's configuration, purely.

Every invariant of the box stands here and nowhere else. A spec can say how much a container gets;
nothing in a spec can open it. Sources: Docker Engine API v1.41 `ContainerCreate`, OWASP Docker
Security Cheat Sheet, CIS Docker Benchmark sections 4 and 5.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

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

MIB: Final = 1024 * 1024
OOM_SCORE_ADJ: Final = 500
"""Under host pressure the kernel takes a container before any of our processes."""


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
    runtime: Literal["runc", "runsc"]
    limits: ContainerLimits
    environment: Mapping[str, str] = field(default_factory=dict)
    seccomp_profile: str | None = None
    """The profile's JSON; absent means the engine's default filter."""

    apparmor_profile: str | None = None


def engine_configuration(spec: ContainerSpec) -> dict[str, Any]:
    """Return the body of `POST /containers/create` for a sealed container."""
    return {
        "Image": spec.image_id,
        # never root, even inside
        "User": f"{CONTAINER_UID}:{CONTAINER_GID}",
        "Hostname": "workspace",
        "WorkingDir": WORKSPACE_TARGET,
        "Env": [f"{name}={value}" for name, value in sorted(spec.environment.items())],
        "Labels": labels(spec),
        "NetworkDisabled": True,
        "OpenStdin": False,
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
        "Runtime": spec.runtime,
        # no interface but `lo`: the sockets below are the only way out
        "NetworkMode": "none",
        "ReadonlyRootfs": True,
        "Privileged": False,
        "CapDrop": ["ALL"],
        "CapAdd": [],
        "SecurityOpt": _security_options(spec),
        # namespaces of its own; nothing shared with the host or another container
        "IpcMode": "private",
        "PidMode": "",
        "UTSMode": "",
        "CgroupnsMode": "private",
        "Devices": [],
        "PidsLimit": limits.pids,
        "Memory": limits.memory_mib * MIB,
        # equal to Memory: no swap, so that a memory bomb ends at the limit
        "MemorySwap": limits.memory_mib * MIB,
        "NanoCpus": round(limits.cpus * 1_000_000_000),
        "OomScoreAdj": OOM_SCORE_ADJ,
        "Ulimits": [
            _ulimit("nofile", limits.open_files),
            # no core dump: it would hold the agent's memory and may reach a helper on the host
            _ulimit("core", 0),
            _ulimit("fsize", limits.file_limit_bytes),
        ],
        # `exec`, which the engine would take away by default: builds run their programs there
        "Tmpfs": {"/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={limits.tmp_mib}m"},  # noqa: S108 - the container's own
        "ShmSize": limits.shm_mib * MIB,
        # reaps orphans, so that a flood of zombies cannot use up the pids limit for good
        "Init": True,
        # a container that ended is replaced by the orchestrator, under a new generation
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
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
    options = ["no-new-privileges:true"]
    if spec.seccomp_profile is not None:
        options.append(f"seccomp={spec.seccomp_profile}")
    if spec.apparmor_profile is not None:
        options.append(f"apparmor={spec.apparmor_profile}")
    return options


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
