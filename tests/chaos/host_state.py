"""What is on the host because of a server: looked at from outside, asking none of its processes."""

import subprocess
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.chaos.forgotten import held_disks
from tests.chaos.site import Site
from tests.disks import loop_devices_of
from tests.e2e.running import Hakoiri


def left_behind(site: Site) -> dict[str, list[str]]:
    """Return what there is of servers that were stopped, by kind."""
    found = {
        "containers": site.docker("ps", "--all", "--format", "{{.Names}}").split(),
        "volumes": site.docker("volume", "ls", "--quiet").split(),
        "disks of removed containers": held_disks(site),
    }
    for server in site.servers:
        for kind, names in _left_by(server).items():
            found[kind] = sorted({*found.get(kind, ()), *names})
    return found


def _left_by(server: Hakoiri) -> dict[str, list[str]]:
    return {
        "directories": below(server.tree),
        "disks": below(server.disks),
        "sockets": sockets_below(server.run_dir, server.root),
        "run directory": [str(server.run_dir)] if server.run_dir.exists() else [],
        "mounts": mounts_below(server.root, server.run_dir),
        "loop devices": [str(path) for path in loop_devices_of(server.disks)],
        "processes": processes_of(server.root, server.run_dir),
    }


def below(directory: Path) -> list[str]:
    return sorted(str(path) for path in directory.iterdir()) if directory.exists() else []


def mounts_below(*directories: Path) -> list[str]:
    """Return what is mounted there for us."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [Path(line.split()[4]) for line in lines]
    return [str(point) for point in points if any(point.is_relative_to(one) for one in directories)]


def sockets_below(*directories: Path) -> list[str]:
    """Return the Unix sockets there that the kernel knows; they may have no file any more."""
    lines = Path("/proc/net/unix").read_text().splitlines()[1:]
    paths = {fields[7] for line in lines if len(fields := line.split()) > 7}
    return sorted(
        path for path in paths if any(Path(path).is_relative_to(one) for one in directories)
    )


def processes_of(root: Path, run_dir: Path) -> list[str]:
    """Return the processes that were started with these directories, or have them mounted.

    The second are those of containers, whose own words tell nothing.
    """
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it may end while it is looked at
            words = (process / "environ").read_text(errors="replace")
            command = (process / "cmdline").read_text(errors="replace").replace("\0", " ")
            inside = _is_apart(process) and f"{root}/live/" in (process / "mountinfo").read_text()
            of_store = f"-dir={root}" in command
            if not of_store and (inside or any(f"{one}/" in words for one in (root, run_dir))):
                found.append(f"{process.name} {command[:100].strip()}")
    return found


def _is_apart(process: Path) -> bool:
    """Whether it has a mount namespace of its own; ours shows what is mounted for all."""
    ours = Path("/proc/self/ns/mnt").readlink()
    return (process / "ns" / "mnt").readlink() != ours


def holdings(site: Site) -> dict[str, dict[str, int]]:
    """Return what each lasting process of the server holds: descriptors by kind, and threads."""
    return {name: dict(held_by(pid)) for name, pid in _lasting(site).items()}


ROLES: Final = (
    "hakoiri.host",
    "hakoiri.credential_proxy",
    "hakoiri.docker_guard",
    "hakoiri.audit",
    "hakoiri.audit.reader",
    "hakoiri.rehearsal",
)
"""The modules of the processes that a server keeps up; one of each, but for those that stand by."""


def absent(site: Site) -> list[str]:
    """Return the roles that no process has, or more than one."""
    there = _lasting(site)
    return [
        f"{module}{mark}"
        for number, _ in enumerate(site.servers, 1)
        for mark in [_mark(site, number)]
        for module in ROLES
        if f"{module}{mark}" not in there
    ]


def _mark(site: Site, number: int) -> str:
    return f" of server {number}" if len(site.servers) > 1 else ""


def _lasting(site: Site) -> dict[str, int]:
    lasting = {}
    for number, server in enumerate(site.servers, 1):
        mark = _mark(site, number)
        for module in ROLES:
            pids = server.processes(module)
            if len(pids) == 1:
                lasting[f"{module}{mark}"] = pids[0]
        lasting[f"supervisor{mark}"] = server.server.pid
    return lasting


def sockets_held(site: Site) -> list[str]:
    """Return the sockets of the same processes, and what they lead to, for whom it may explain."""
    names = {f"pid={pid},": name for name, pid in _lasting(site).items()}
    shown = subprocess.run(["ss", "-xtnpa"], check=True, capture_output=True, text=True).stdout
    return [
        f"{name}: {line}"
        for line in shown.splitlines()
        for mark, name in names.items()
        if mark in line
    ]


def held_by(pid: int) -> Mapping[str, int]:
    """Count a process's descriptors, by what they lead to, and its threads."""
    kinds: Counter[str] = Counter()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            kinds[_kind_of(str(descriptor.readlink()))] += 1
    kinds["threads"] = sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())
    return kinds


def _kind_of(target: str) -> str:
    if not target.startswith("/"):
        return target.partition(":")[0]
    return "database files" if ".sqlite" in Path(target).name else "files"


def engine_answers(site: Site) -> bool:
    """Whether the engine can be asked."""
    try:
        site.docker("version")
    except (OSError, subprocess.SubprocessError):
        return False
    return True
