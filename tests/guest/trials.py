"""What is tried in the guest: bodies that the real code makes, profiles, and the changed ones.

A body goes the whole way that a container's goes: from the spec to the engine's configuration, and
through the guard's own check to what the engine is asked for. Only the paths are the guest's.
"""

import copy
import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hakoiri.docker_guard.rules import LimitCeilings, Rules
from hakoiri.docker_guard.sealed_container import check_body, engine_body, read_body
from hakoiri.host.container_settings import ContainerSettings
from hakoiri.host.containers.box import read_box
from hakoiri.host.containers.environment import agent_environment
from hakoiri.host.containers.hardening import ContainerLimits, ContainerSpec, engine_configuration
from hakoiri.host.settings import Settings
from hakoiri.wire.guard import (
    CONTAINER_GID,
    CONTAINER_UID,
    SOURCE_AGENT,
    SOURCE_HOME,
    SOURCE_PROXY,
    SOURCE_WORKSPACE,
)
from hakoiri.wire.probe import ProbeRequest
from hakoiri.workspace_agent.probe.posture import INITIAL_NAMESPACES

ROOT: Final = Path(__file__).parents[2]
PROFILE_FILE: Final = ROOT / "deployment/apparmor/workspace-container"
PROFILE: Final = "workspace-container"
INSTANCE: Final = "guest"
LIMITS: Final = ContainerLimits(
    memory_mib=1024,
    cpus=1.5,
    pids=300,
    tmp_mib=256,
    shm_mib=64,
    open_files=4096,
    file_limit_bytes=1024**3,
)
BOUNDED: Final = dataclasses.replace(LIMITS, memory_mib=256, cpus=1.0, pids=100)

TURN_ENVIRONMENT: Final = agent_environment(
    provider="anthropic", region="eu-west-1", model=None, retries=2, processors=2
) | {"ANTHROPIC_BASE_URL": "http://127.0.0.1:4000"}
"""The agent's own, but that the model is inside the box."""

WORKLOADS: Final = ROOT / "deployment/seccomp/workloads"


def sealed_body(
    name: str,
    image_id: str,
    *,
    limits: ContainerLimits = LIMITS,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the engine's body of a sealed container whose directories are `/boxes/NAME/*`."""
    settings = Settings(container=ContainerSettings(apparmor_profile=PROFILE))
    box = read_box(settings, instance=INSTANCE)
    container_id = "c" + name.encode().hex()[:16].rjust(16, "0")
    spec = ContainerSpec(
        instance=INSTANCE,
        container_id=container_id,
        image_id=image_id,
        runtime="runc",
        limits=limits,
        environment=environment or {},
        seccomp_profile=box.seccomp_profiles["runc"],
        apparmor_profile=PROFILE,
    )
    rules = Rules(
        instances=(INSTANCE,),
        images={image_id: image_id},
        runtimes=("runc",),
        seccomp_profiles=dict(box.seccomp_profiles),
        apparmor_profile=PROFILE,
        ceilings=LimitCeilings.model_validate(dataclasses.asdict(limits)),
    )
    body = read_body(engine_configuration(spec))
    check_body(body, container_id=container_id, rules=rules)
    sources = {
        source: Path("/boxes") / name / source
        for source in (SOURCE_WORKSPACE, SOURCE_HOME, SOURCE_PROXY, SOURCE_AGENT)
    }
    return engine_body(body, sources=sources, rules=rules, is_remapped=False)


def open_body(name: str, image_id: str, *, profile: str) -> dict[str, Any]:
    """Return the same body with every layer but AppArmor's taken away, for root.

    Under `unconfined` it is the control: what does not work there was not refused by a profile.
    """
    body = copy.deepcopy(sealed_body(name, image_id))
    body["User"] = "0:0"
    body["Entrypoint"] = ["/bin/sleep", "600"]
    host = body["HostConfig"]
    host |= {
        "ReadonlyRootfs": False,
        "CapDrop": [],
        "CapAdd": ["ALL"],
        "SecurityOpt": ["seccomp=unconfined", f"apparmor={profile}"],
        "PidMode": "host",
        "MaskedPaths": [],
        "ReadonlyPaths": [],
        "Devices": [
            {"PathOnHost": path, "PathInContainer": path, "CgroupPermissions": "rwm"}
            for path in ("/dev/kmsg", "/dev/mem", "/dev/vda")
        ],
    }
    for mount in host["Mounts"]:
        mount["ReadOnly"] = False
    return body


def without_limits(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of the control for limits: swap, processes and processor as they come."""
    host = {**body["HostConfig"], "MemorySwap": -1, "PidsLimit": None}
    host |= {"NanoCpus": 0, "CpuShares": 0}
    return {**body, "HostConfig": host}


def programs() -> dict[str, str]:
    """Return what honest programs do in a box: a turn of the agent, and the measured workloads."""
    measured = {
        file.stem: file.read_text() for file in WORKLOADS.glob("*.sh") if file.stem != "agent"
    }
    turn = (Path(__file__).parent / "turn.sh").read_text()
    return {"turn": turn} | dict(sorted(measured.items(), reverse=True))


ASKED: Final = ProbeRequest(
    runtime="runc",
    owner_uid=CONTAINER_UID,
    owner_gid=CONTAINER_GID,
    # those that the guest booted with: its engine is in them, and so would a server be
    namespaces=dict(INITIAL_NAMESPACES),
    open_files=LIMITS.open_files,
    file_limit_bytes=LIMITS.file_limit_bytes,
    apparmor=f"{PROFILE} (enforce)",
)
PROBE: Final = (
    "exec /opt/hakoiri/bin/python -I -m hakoiri.workspace_agent.probe"
    f" {shlex.quote(ASKED.model_dump_json())}"
)


def profile_text(name: str = PROFILE, changes: Mapping[str, str] | None = None) -> str:
    """Return the profile that ships under another name, with changes, each of which must fit."""
    text = PROFILE_FILE.read_text()
    for find, replace in (changes or {}).items():
        if text.count(find) != 1:
            raise ValueError(f"{find!r} is {text.count(find)} times in the profile, not once")
        text = text.replace(find, replace)
    return text.replace(PROFILE, name)
