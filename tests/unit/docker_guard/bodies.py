"""A container as the server asks for it, and the rules under which it may."""

import json
from typing import Any

from hakoiri.docker_guard.rules import LimitCeilings, Rules
from hakoiri.host.containers.hardening import (
    ContainerLimits,
    ContainerSpec,
    engine_configuration,
)

ID = "c" + "a1" * 8
INSTANCE = "0123456789ab"
IMAGE_ID = "sha256:" + "ab" * 32
LIMITS = ContainerLimits(
    memory_mib=512,
    cpus=1.5,
    pids=128,
    tmp_mib=64,
    shm_mib=8,
    open_files=1024,
    file_limit_bytes=2**30,
)
PROFILE = '{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[]}'
RULES = Rules(
    instances=(INSTANCE,),
    images={"hakoiri/workspace:test": IMAGE_ID},
    runtimes=("runc", "runsc"),
    seccomp_profiles={"runc": PROFILE, "runsc": PROFILE},
    apparmor_profile="workspace-container",
    ceilings=LimitCeilings(
        memory_mib=512,
        cpus=1.5,
        pids=128,
        tmp_mib=64,
        shm_mib=8,
        open_files=1024,
        file_limit_bytes=2**30,
    ),
)


def sealed(**changes: Any) -> dict[str, Any]:
    """What the server sends; `changes` are of its spec."""
    parts: dict[str, Any] = {
        "instance": INSTANCE,
        "container_id": ID,
        "image_id": IMAGE_ID,
        "runtime": "runc",
        "limits": LIMITS,
        "environment": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:3128"},
        "seccomp_profile": PROFILE,
        "apparmor_profile": "workspace-container",
    }
    made: dict[str, Any] = json.loads(
        json.dumps(engine_configuration(ContainerSpec(**(parts | changes))))
    )
    return made


def changed(path: str, value: Any) -> dict[str, Any]:
    """The same with one field set, by its path with dots."""
    body = sealed()
    *parents, last = path.split(".")
    place: Any = body
    for name in parents:
        place = place[int(name)] if isinstance(place, list) else place[name]
    place[int(last) if isinstance(place, list) else last] = value
    return body
