"""How this process stands: rights, namespaces, mounts, limits, processes. Read only, not judged.

What cannot be read is None, never an empty list: nothing is known of it then.
"""

import ctypes
import os
import re
import resource
import socket
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from hakoiri.wire.id_map import IdRange, parse_id_map

_GET_NO_NEW_PRIVILEGES: Final = 39
"""prctl(2)'s PR_GET_NO_NEW_PRIVS."""

_ESCAPES: Final = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))
CAPABILITY_SETS: Final = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
LIMITS: Final = {
    "core": resource.RLIMIT_CORE,
    "fsize": resource.RLIMIT_FSIZE,
    "nofile": resource.RLIMIT_NOFILE,
}
Read = TypeVar("Read")

_NULL_DEVICE: Final = (1, 3)
_NAMESPACE: Final = re.compile(r"(?P<kind>[a-z]+):\[(?P<number>[0-9]+)\]")
_LABEL: Final = re.compile(r"unconfined|.+ \([a-z]+\)")
"""A label of AppArmor's; `attr/current` may be that of another security module."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What was read. `mounts` are options by target, `limits` soft and hard limits by name.

    `namespaces` are numbers by kind, `capabilities` masks by set, as the kernel writes them; a set
    that it does not tell is None. `masked` are the paths that were asked for and are there, each
    with whether nothing can be had from it. `apparmor` is None where the kernel has no labels.
    """

    user_ids: frozenset[int]
    group_ids: frozenset[int]
    user_map: tuple[IdRange, ...]
    group_map: tuple[IdRange, ...]
    namespaces: Mapping[str, int] | None
    capabilities: Mapping[str, str | None]
    has_no_new_privileges: bool
    filter_mode: str | None
    apparmor: str | None
    host_name: str
    mounts: Mapping[str, frozenset[str]]
    masked: Mapping[str, bool]
    limits: Mapping[str, tuple[int, int]]
    open_files: tuple[str, ...] | None
    foreign_processes: tuple[str, ...] | None
    devices: frozenset[str]


def read_standing(masked: Iterable[str]) -> Standing:
    """Read how this process stands, before it opens anything of its own.

    `masked` are patterns of paths that must show nothing.
    """
    open_files = _or_none(lambda: list_open_files(Path("/proc/self/fd")))
    status = _pairs(Path("/proc/self/status").read_text(encoding="ascii", errors="replace"))
    return Standing(
        user_ids=frozenset(os.getresuid()),
        group_ids=frozenset((*os.getresgid(), *os.getgroups())),
        user_map=_id_map("uid_map"),
        group_map=_id_map("gid_map"),
        namespaces=_or_none(lambda: read_namespaces(Path("/proc/self/ns"))),
        capabilities={name: status.get(name) for name in CAPABILITY_SETS},
        has_no_new_privileges=ctypes.CDLL(None).prctl(_GET_NO_NEW_PRIVILEGES, 0, 0, 0, 0) == 1,
        filter_mode=status.get("Seccomp"),
        apparmor=read_label(Path("/proc/self/attr")),
        host_name=socket.gethostname(),
        mounts=parse_mounts(Path("/proc/self/mountinfo").read_text(encoding="utf-8")),
        masked=dict(shown for pattern in masked for shown in _look_behind(pattern)),
        limits={name: resource.getrlimit(number) for name, number in LIMITS.items()},
        open_files=open_files,
        foreign_processes=_or_none(lambda: list_foreign_processes(Path("/proc"))),
        devices=frozenset(entry.name for entry in os.scandir("/dev")),
    )


def parse_mounts(mountinfo: str) -> dict[str, frozenset[str]]:
    """Return options by target; of targets mounted twice the last counts (proc(5), mountinfo)."""
    mounts = {}
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        target = fields[4]
        for escape, character in _ESCAPES:
            target = target.replace(escape, character)
        mounts[target] = frozenset(fields[5].split(","))
    return mounts


def read_namespaces(directory: Path) -> dict[str, int]:
    """Return the number of each namespace by kind, as `/proc/PID/ns` shows them (namespaces(7)).

    What stands there for children to come is left out. Raises `OSError`.
    """
    found = {}
    for entry in directory.iterdir():
        if not entry.name.endswith("_for_children"):
            told = _NAMESPACE.fullmatch(str(entry.readlink()))
            found[entry.name] = int(told["number"]) if told is not None else 0
    return found


def read_label(directory: Path) -> str | None:
    """Return AppArmor's label of this process; None where there is none to read."""
    for name in ("apparmor/current", "current"):  # the first since Linux 5.8
        try:
            told = (directory / name).read_text(encoding="utf-8").strip("\0\n")
        except (OSError, UnicodeDecodeError):
            continue
        if _LABEL.fullmatch(told):
            return told
    return None


def list_open_files(directory: Path) -> tuple[str, ...]:
    """Return the numbers of the descriptors that are open. Raises `OSError`."""
    entries = list(directory.iterdir())
    # the listing's own descriptor is closed by now
    return tuple(sorted((entry.name for entry in entries if entry.is_symlink()), key=int))


def list_foreign_processes(directory: Path) -> tuple[str, ...]:
    """Return the processes that are not this user's; one that cannot be told is not. `OSError`."""
    foreign = []
    for entry in directory.iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            owner = entry.stat().st_uid
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        except OSError:
            foreign.append(f"{entry.name} of nobody knows whom")
            continue
        if owner != os.getuid():
            foreign.append(f"{entry.name} of user {owner}")
    return tuple(foreign)


def shows_nothing(path: Path) -> bool:
    """Return whether the path is the null device or an empty directory. Raises `OSError`.

    So is a directory that may not be listed, as under an AppArmor profile.
    """
    status = path.stat()
    if stat.S_ISCHR(status.st_mode):
        return (os.major(status.st_rdev), os.minor(status.st_rdev)) == _NULL_DEVICE
    if not stat.S_ISDIR(status.st_mode):
        return False
    try:
        return not any(path.iterdir())
    except PermissionError:
        return True


def _look_behind(pattern: str) -> Iterable[tuple[str, bool]]:
    """Yield each path that is there; what cannot be looked at counts as shown."""
    top = Path("/")
    for path in top.glob(pattern[1:]) if "*" in pattern else (Path(pattern),):
        try:
            yield str(path), shows_nothing(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            yield str(path), False


def _or_none(read: Callable[[], Read]) -> Read | None:
    try:
        return read()
    except OSError:
        return None


def _pairs(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in pairs}


def _id_map(name: str) -> tuple[IdRange, ...]:
    try:
        return parse_id_map(Path("/proc/self", name).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return ()
