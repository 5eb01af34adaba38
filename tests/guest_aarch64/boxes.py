"""What runs in the guest's containers, and under what: configurations for `runc`, made purely.

The filter is the one that the engine gets: Docker's form and OCI's are the same where no rule
depends on capabilities, machine or kernel. Everything else is as little as `runc` needs, so that
what is refused was refused by the filter.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.integration.host.containers import syscall_probe

from hakoiri.host.container_settings import ContainerSettings
from hakoiri.host.containers.box import read_profile
from hakoiri.host.containers.seccomp import filter_for

ROOT: Final = Path(__file__).parents[2]
WORKLOADS: Final = ROOT / "deployment/seccomp/workloads"
NAMESPACES: Final = ("pid", "ipc", "uts", "mount", "network")
CAPABILITIES: Final = tuple(
    f"CAP_{name}"
    for name in (
        *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID"),
        *("SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_ADMIN", "NET_RAW"),
        *("IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE"),
        *("SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME"),
        *("SYS_TTY_CONFIG", "MKNOD", "LEASE", "SYSLOG", "BPF", "PERFMON"),
    )
)
ENVIRONMENT: Final = (
    "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
    *("HOME=/home/agent", "LANG=C.UTF-8", "PIP_BREAK_SYSTEM_PACKAGES=1"),
    "NODE_OPTIONS=--require=/preloads/loopback-interfaces.cjs",
)
OWNED: Final = ("/workspace", "/home/agent", "/run/hakoiri/agent", "/run/hakoiri/proxy")
GIVEN: Final = ("workloads", "preloads", "programs", "model", "turn")
LONGEST: Final = ("node", "python", "turn")
CONDITION: Final = ["/bin/grep", "-hE", "^(Seccomp|NoNewPrivs):", "/proc/self/status"]

Box = Mapping[str, Any]
"""A container's name, its configuration, and what its program gets on standard input."""


def seccomp() -> dict[str, Any]:
    """Return the filter that ships, as the engine gets it."""
    found: dict[str, Any] = json.loads(filter_for("runc", read_profile(ContainerSettings())))
    return found


def configuration(
    command: Sequence[str], *, filtered: Mapping[str, Any] | None, mighty: bool = False
) -> dict[str, Any]:
    """Return a container's configuration: for the agent's user, or for a root who may all."""
    capabilities = list(CAPABILITIES) if mighty else []
    linux: dict[str, Any] = {"namespaces": [{"type": name} for name in NAMESPACES]}
    if filtered is not None:
        linux["seccomp"] = dict(filtered)
    return {
        "ociVersion": "1.0.2",
        "root": {"path": "/box", "readonly": True},
        "hostname": "box",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0} if mighty else {"uid": 1000, "gid": 1000},
            "args": list(command),
            "env": list(ENVIRONMENT),
            "cwd": "/workspace",
            # else runc loads the filter before it becomes the user, which no workspace may
            "noNewPrivileges": True,
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities),
        },
        "mounts": _mounts(),
        "linux": linux,
    }


def _mounts() -> list[dict[str, Any]]:
    sealed = ["nosuid", "nodev"]
    owned, everyones = [*sealed, "mode=0755", "uid=1000"], [*sealed, "mode=1777"]
    memory = {
        **dict.fromkeys(OWNED, owned),
        **dict.fromkeys(("/tmp", "/dev/shm"), everyones),  # noqa: S108 - the box's own
    }
    return [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        _mount("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount("/dev/pts", "devpts", ["newinstance", "ptmxmode=0666", "mode=0620"]),
        _mount("/sys", "sysfs", [*sealed, "noexec", "ro"]),
        *(_mount(path, "tmpfs", options) for path, options in memory.items()),
        *(
            {"destination": f"/{name}", "source": f"/payload/{name}", "options": ["bind", "ro"]}
            for name in GIVEN
        ),
    ]


def _mount(path: str, kind: str, options: Sequence[str]) -> dict[str, Any]:
    return {"destination": path, "type": kind, "source": kind, "options": list(options)}


def trials() -> list[Box]:
    """Return what tries the filter: each runs alone, as the kernel's records must be its own."""
    filtered = seccomp()
    # as the child of a first process, to which orphans go, as in a box of the engine's
    probe = ["/bin/sh", "-c", "/usr/bin/python3 -I -; exit $?"]
    source = Path(syscall_probe.__file__).read_text()
    old = ["/programs/of-32-bits"]
    return [
        _box("agent", configuration(probe, filtered=filtered), source),
        _box("root", configuration(probe, filtered=filtered, mighty=True), source),
        _box("bare", configuration(probe, filtered=None, mighty=True), source),
        _box("condition", configuration(CONDITION, filtered=filtered)),
        _box("of-32-bits", configuration(old, filtered=filtered)),
        _box("of-32-bits-bare", configuration(old, filtered=None)),
    ]


def honest_programs() -> list[Box]:
    """Return a turn of the agent, and the measured programs, with what takes long first."""
    commands = {"turn": "/turn/turn.sh"} | {name: f"/workloads/{name}.sh" for name in workloads()}
    ordered = [name for name in LONGEST if name in commands]
    return [
        _box(name, configuration(["/bin/bash", commands[name]], filtered=seccomp()))
        for name in (*ordered, *sorted(set(commands) - set(ordered)))
    ]


def workloads() -> list[str]:
    """Return the measured programs that need nothing but Debian's packages."""
    return sorted(file.stem for file in WORKLOADS.glob("*.sh") if file.stem != "agent")


def _box(name: str, made: Mapping[str, Any], given: str = "") -> Box:
    return {"name": name, "configuration": made, "given": given}


def program_of_32_bits() -> bytes:
    """Return a program of the older ARM machines: it asks for its process id, and ends well.

    Sources: elf(5); `Procedure Call Standard for the Arm Architecture` (EABI 5) for the flags.
    """
    steps = (0xE3A07014, 0xEF000000, 0xE3A00000, 0xE3A07001, 0xEF000000)
    code = b"".join(step.to_bytes(4, "little") for step in steps)
    base, head = 0x10000, 52 + 32
    size = head + len(code)
    identity = b"\x7fELF\1\1\1" + bytes(9)
    header = struct.pack(
        "<HHIIIIIHHHHHH", 2, 40, 1, base + head, 52, 0, 0x05000200, 52, 32, 1, 40, 0, 0
    )
    segment = struct.pack("<8I", 1, 0, base, base, size, size, 5, base)
    return identity + header + segment + code
