"""Whether a container that is asked for is sealed, and the engine's body for it, purely.

The body that goes to the engine is written from the parsed form: profiles, image and paths are the
guard's own, everything else was one of the values in the closed model.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from hakoiri.docker_guard.container_body import (
    TARGETS,
    TMP_OPTIONS,
    ContainerBody,
    HostConfig,
)
from hakoiri.docker_guard.kernel_paths import MASKED_PATHS, READ_ONLY_PATHS
from hakoiri.docker_guard.refusal import CallRefusedError
from hakoiri.docker_guard.rules import Rules
from hakoiri.docker_guard.runsc_flags import why_not_sealed
from hakoiri.wire.messages import Runtime

MIB: Final = 1024 * 1024
PAGE_BYTES: Final = 4096
SHOWN_FAULTS: Final = 3
NO_NEW_PRIVILEGES: Final = "no-new-privileges:true"


def read_body(document: object) -> ContainerBody:
    """Parse into the closed model; raise `CallRefusedError` that names the fields."""
    try:
        return ContainerBody.model_validate(document)
    except ValidationError as error:
        raise CallRefusedError("container-not-sealed", _faults(error)) from None


def check_body(body: ContainerBody, *, container_id: str, rules: Rules) -> None:
    """Raise `CallRefusedError` unless it is ours: of our image and profiles, within ceilings."""
    labels, host = body.Labels, body.HostConfig
    if labels.instance not in rules.instances:
        raise _refused("Labels", "hakoiri.instance is not an instance that this guard serves")
    expected = (container_id, body.Image, host.Runtime)
    if (labels.container, labels.image, labels.runtime) != expected:
        raise _refused("Labels", "they must say the container's name, image and runtime")
    if host.Runtime not in rules.runtimes or host.Runtime not in rules.seccomp_profiles:
        raise _refused("Runtime", f"{host.Runtime} is not a runtime that this guard was told of")
    if host.SecurityOpt != security_options(host.Runtime, rules):
        raise _refused(
            "SecurityOpt",
            "it must be no-new-privileges and the profiles that the guard was started with; after "
            "a change of a profile, start `hakoiri serve` anew",
        )
    if host.MaskedPaths != list(MASKED_PATHS) or host.ReadonlyPaths != list(READ_ONLY_PATHS):
        raise _refused("MaskedPaths", "they and ReadonlyPaths must be the guard's own, in full")
    if {mount.Source: mount.Target for mount in host.Mounts} != TARGETS:
        raise _refused("Mounts", f"they must be {', '.join(TARGETS)}, each in its own place")
    _check_limits(host, rules)
    if body.Image not in rules.images.values():
        raise CallRefusedError(
            "image-not-ours",
            f"Image: {body.Image} is not the image that this guard was started with; after an "
            "image is built anew, or a tag is moved, start `hakoiri serve` anew",
        )


def check_runtime(runtime: Runtime, arguments: Iterable[str] | None) -> None:
    """Raise `CallRefusedError` unless the engine runs `runsc` with the flags that seal it."""
    if runtime == "runsc" and (why := why_not_sealed(arguments or ())) is not None:
        raise _refused("Runtime", f"the engine has runsc registered {why}; see `doctor`")


def security_options(runtime: Runtime, rules: Rules) -> list[str]:
    """Return what `SecurityOpt` must be."""
    options = [NO_NEW_PRIVILEGES, f"seccomp={rules.seccomp_profiles[runtime]}"]
    if rules.apparmor_profile is not None:
        options.append(f"apparmor={rules.apparmor_profile}")
    return options


def engine_body(
    body: ContainerBody, *, sources: Mapping[str, Path], rules: Rules, is_remapped: bool
) -> dict[str, Any]:
    """Return what the engine is asked for; `sources` are the paths of the box's directories.

    In a user namespace of its own (`is_remapped`) a container cannot take flags off the mounts that
    the guard made, among them read-only. For runc the engine then is not asked for it as well: runc
    before 1.2 sets that flag alone, which takes the others off, and the kernel refuses it.
    """
    host = body.HostConfig
    by_source = is_remapped and host.Runtime == "runc"
    made = body.model_dump(by_alias=True)
    made["HostConfig"]["SecurityOpt"] = security_options(host.Runtime, rules)
    made["HostConfig"]["Mounts"] = [
        mount.model_dump()
        | {"Source": str(sources[mount.Source]), "ReadOnly": mount.ReadOnly and not by_source}
        for mount in host.Mounts
    ]
    return made


def _check_limits(host: HostConfig, rules: Rules) -> None:
    ceilings = rules.ceilings
    if host.MemorySwap != host.Memory:
        raise _refused("MemorySwap", "it must be equal to Memory: no swap")
    limits = {limit.Name: limit for limit in host.Ulimits}
    if len(limits) != len(host.Ulimits) or any(one.Soft != one.Hard for one in host.Ulimits):
        raise _refused("Ulimits", "nofile, core and fsize, once each, soft and hard equal")
    if limits["core"].Hard != 0:
        raise _refused("Ulimits", "core must be 0")
    tmp_mib, tmp_inodes = _tmp_sizes(host.Tmpfs.tmp)
    for field, value, ceiling in (
        ("PidsLimit", host.PidsLimit, ceilings.pids),
        ("Memory", host.Memory, ceilings.memory_mib * MIB),
        ("NanoCpus", host.NanoCpus, round(ceilings.cpus * 1_000_000_000)),
        ("ShmSize", host.ShmSize, ceilings.shm_mib * MIB),
        ("Tmpfs", tmp_mib, ceilings.tmp_mib),
        ("Tmpfs", tmp_inodes, ceilings.tmp_mib * MIB // PAGE_BYTES),
        ("Ulimits.nofile", limits["nofile"].Hard, ceilings.open_files),
        ("Ulimits.fsize", limits["fsize"].Hard, ceilings.file_limit_bytes),
    ):
        if value > ceiling:
            raise _refused(field, f"{value} is over the ceiling of {ceiling}")


def _tmp_sizes(options: str) -> tuple[int, int]:
    """Return size (MiB) and inodes of the memory file system."""
    found = re.fullmatch(TMP_OPTIONS, options)
    if found is None:
        raise _refused("Tmpfs", "its options are not the guard's own")
    return int(found["size"]), int(found["inodes"])


def _faults(error: ValidationError) -> str:
    """Name the first few fields that are wrong; what was sent is not repeated."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    said = [
        f"{'.'.join(str(part) for part in fault['loc'])[:128] or 'the body'}: {fault['msg']}"
        for fault in faults[:SHOWN_FAULTS]
    ]
    more = len(faults) - len(said)
    return "; ".join(said) + (f"; and {more} more" if more > 0 else "")


def _refused(field: str, why: str) -> CallRefusedError:
    return CallRefusedError("container-not-sealed", f"{field}: {why}")
