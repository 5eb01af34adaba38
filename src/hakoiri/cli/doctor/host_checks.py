"""What is judged about the host. All of it is pure: facts in, a finding out."""

from collections.abc import Sequence
from pathlib import Path

from hakoiri.cli.doctor.finding import Finding
from hakoiri.cli.doctor.forgotten_disks import ForgottenDisk
from hakoiri.cli.doctor.host_facts import FileFacts

GIB = 1024**3
NEEDED_FREE_BYTES = 2 * GIB
"""Room for the database, a few workspaces and the layers of their containers."""

OLDEST_PYTHON = (3, 11)
RUN_DIRECTORY_LIMIT_BYTES = 64
"""Socket paths below it stay under 100 bytes; the kernel allows 107 (unix(7), `sun_path`)."""

NAMED_AT_MOST = 8
"""Containers in one sentence."""

WRITABLE_BY_OTHERS = 0o022
OPEN_TO_OTHERS = 0o077
WRITABLE_BY_ALL = 0o002


def check_platform(system: str, release: str) -> Finding:
    """This is Linux."""
    if system == "Linux":
        return Finding.ok("platform", f"Linux {release}")
    return Finding.missing("platform", f"{system} {release}", mend="use a Linux machine")


def check_root(effective_uid: int) -> Finding:
    """The supervisor can start processes as other users."""
    if effective_uid == 0:
        return Finding.ok("root", "yes")
    return Finding.missing("root", f"running as user {effective_uid}", mend="run it with sudo")


def check_python(version: tuple[int, int, int]) -> Finding:
    """The interpreter is new enough."""
    text = ".".join(map(str, version))
    if version[:2] >= OLDEST_PYTHON:
        return Finding.ok("python", text)
    return Finding.missing("python", text, mend="make .venv with Python 3.11 or newer")


def check_command(name: str, *, path: str | None, package: str) -> Finding:
    """A command is there that the supervisor or the image builder runs."""
    if path is not None:
        return Finding.ok(name, path)
    return Finding.missing(name, "not found", mend=f"install the Debian package {package}")


def check_user(name: str, uid: int | None) -> Finding:
    """A system user exists and is not root."""
    label = f"user {name}"
    if uid is None:
        return Finding.missing(label, "no such user", mend="`make setup` creates it")
    if uid == 0:
        return Finding.missing(
            label, "is root", mend="name a user without rights in HAKOIRI_USERS__SERVER or __PROXY"
        )
    return Finding.ok(label, f"uid {uid}")


def check_run_directory(path: Path, *, holder: Path, facts: FileFacts | None) -> Finding:
    """The sockets' directory is, or will be made, where no one else can put another in its place.

    `holder` is its closest ancestor that exists, `facts` what is known of that.
    """
    name = "run directory"
    length = len(str(path).encode())
    if length > RUN_DIRECTORY_LIMIT_BYTES:
        return Finding.missing(
            name,
            f"{path} is {length} bytes long, over {RUN_DIRECTORY_LIMIT_BYTES}",
            mend="name a shorter one in HAKOIRI_RUN_DIR",
        )
    if facts is None or facts.owner != 0 or facts.mode & WRITABLE_BY_OTHERS:
        return Finding.missing(
            name,
            f"others can write to {holder}, which holds {path}",
            mend=f"`chown root {holder}; chmod go-w {holder}`, or name another in HAKOIRI_RUN_DIR",
        )
    return Finding.ok(name, f"{path}" if holder == path else f"{path} (made at the start)")


def check_disk(name: str, path: Path, *, free: int) -> Finding:
    """The disk has room; `free` in bytes."""
    text = f"{path}: {free / GIB:.1f} GiB free"
    if free >= NEEDED_FREE_BYTES:
        return Finding.ok(name, text)
    return Finding.missing(name, text, mend=f"free at least {NEEDED_FREE_BYTES / GIB:.0f} GiB")


def check_live_disk(path: Path, *, free: int, needed: int) -> Finding:
    """The docker guard makes containers; it stops when less than `needed` bytes are free."""
    text = f"{path}: {free / GIB:.1f} GiB free, {needed / GIB:.1f} needed to make a container"
    if free >= needed:
        return Finding.ok("containers' disk", text)
    return Finding.missing(
        "containers' disk", text, mend="free some, or lower HAKOIRI_GUARD__DISK_FLOOR_MIB"
    )


def check_proxy_file(path: Path, facts: FileFacts | None) -> Finding:
    """Only root can say which credentials there are and where they may go."""
    if facts is None:
        return Finding.ok("proxy file", f"{path} is not there; the provider's defaults hold")
    if facts.owner == 0 and not facts.mode & WRITABLE_BY_OTHERS:
        return Finding.ok("proxy file", f"{path}, written by root alone")
    return Finding.missing(
        "proxy file",
        f"others than root can write {path}",
        mend=f"`chown root {path}; chmod go-w {path}`",
    )


def check_proxy_environment(path: Path, facts: FileFacts | None) -> Finding:
    """Only root can read the secrets that the proxy is given."""
    if facts is None:
        return Finding.ok("proxy secrets", f"{path} is not there; no secret is given by file")
    if facts.owner == 0 and not facts.mode & OPEN_TO_OTHERS:
        return Finding.ok("proxy secrets", f"{path}, root's alone")
    return Finding.missing(
        "proxy secrets",
        f"others than root can open {path}",
        mend=f"`chown root {path}; chmod 600 {path}`, and replace the secrets in it",
    )


def check_engine_socket(
    path: Path, facts: FileFacts | None, *, members: tuple[str, ...]
) -> Finding:
    """Few can open the engine's socket: whoever can is root on this machine."""
    name = "engine socket"
    if facts is None:
        return Finding.missing(name, f"{path} is not there", mend="`make setup` starts an engine")
    if facts.mode & WRITABLE_BY_ALL:
        return Finding.missing(
            name, f"everybody can open {path}, and so be root", mend=f"`chmod o-rw {path}`"
        )
    if members and facts.mode & 0o020:
        return Finding.warning(
            name,
            f"{', '.join(members)} can open {path}, and so be root",
            mend="take them out of its group, unless that is meant",
        )
    return Finding.ok(name, f"{path}, mode {facts.mode:04o}")


def check_kernel_log(*, readable: bool) -> Finding:
    """The kernel's audit records of processes that the filter killed can be read."""
    if readable:
        return Finding.ok("kernel log", "/dev/kmsg is readable")
    return Finding.warning(
        "kernel log",
        "/dev/kmsg cannot be read; system calls that were killed are not told",
        mend="run as root, outside a container that hides it",
    )


def check_pressure(*, present: bool) -> Finding:
    """The kernel tells how short of processor, memory and disk it is."""
    if present:
        return Finding.ok("pressure", "/proc/pressure is there")
    return Finding.warning("pressure", "no /proc/pressure", mend="boot the kernel with psi=1")


def check_loop_devices(*, present: bool) -> Finding:
    """A container's workspace and home can be disks of their own size."""
    if present:
        return Finding.ok("loop devices", "/dev/loop-control is there")
    return Finding.missing(
        "loop devices",
        "no /dev/loop-control, so no container can get its disks",
        mend="`modprobe loop`; in a container, give it /dev/loop-control and /dev/loop*",
    )


def check_forgotten_disks(disks: Sequence[ForgottenDisk]) -> Finding:
    """What was removed of containers is gone from the host, too."""
    name = "removed disks"
    if not disks:
        return Finding.ok(name, "no process holds a disk of a container that is gone")
    containers = sorted({disk.container_id for disk in disks})
    pids = " ".join(map(str, sorted({pid for disk in disks for pid in disk.ends})))
    return Finding.warning(
        name,
        f"{len(disks)} disks of {len(containers)} containers that are gone take up room: "
        f"{', '.join(containers[:NAMED_AT_MOST])}. An engine that is killed while it starts a "
        "container forgets it, and its first process waits for ever",
        mend=f"look who they are, and end them: `ps -fp {pids}`, `kill -KILL {pids}`",
    )


def check_filter(path: Path | None, *, allowed: int, problem: str | None) -> Finding:
    """Which system calls a container may make; `path` is the operator's own profile."""
    if problem is not None:
        return Finding.missing(
            "system-call filter",
            problem,
            mend="unset HAKOIRI_CONTAINER__SECCOMP_PROFILE, or name a narrower copy of "
            "deployment/seccomp/workspace-seccomp.json",
        )
    source = "the profile that ships" if path is None else str(path)
    return Finding.ok(
        "system-call filter", f"{source}: {allowed} calls are let through, all others refused"
    )
