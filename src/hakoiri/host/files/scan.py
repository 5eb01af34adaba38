"""Looks at a live tree without reading a file: bounded, following nothing, opening no device.

Runs in a worker thread. The tree belongs to a hostile container, which may change it at any moment.
"""

import os
import stat
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hakoiri.host.files.descent import GONE_ERRNOS, SWAPPED_ERRNOS, Descent, OutsideError
from hakoiri.host.files.manifest import PERMISSION_BITS, Kind
from hakoiri.host.files.paths import PATH_LIMIT_BYTES, Root
from hakoiri.host.files.plan import Found, LeftOut, Place, Scan
from hakoiri.host.files.ports import LiveTree
from hakoiri.wire.git_import import IMPORT_DIRECTORY

AGENT_MEMORY_DIRECTORY = b".claude"
"""All that is kept of a home, and of it only what `AGENT_MEMORY` names."""

AGENT_MEMORY = frozenset(
    (
        b"CLAUDE.md",
        b"agents",
        b"commands",
        b"file-history",
        b"history.jsonl",
        b"output-styles",
        b"plans",
        b"projects",
        b"rules",
        b"settings.json",
        b"skills",
        b"tasks",
        b"teams",
        b"todos",
    )
)
"""What a conversation goes on from, as Claude Code 2.1 names it.

A list of what is kept, not of what is left: caches, `shell-snapshots`, `statsig`, `backups` and
whatever a later version invents stay out, above all `.credentials.json`.
"""

CREDENTIALS_NAME = b".credentials.json"
"""Never stored from a home, wherever it lies."""

UNFINISHED_IMPORT = IMPORT_DIRECTORY.encode()
"""At the top of a workspace: half a repository is none."""

CHANGING = "changed while it was read; its last saved state is kept"

_DEADLINE_STRIDE = 512
_SPECIAL = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_KINDS: Mapping[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
}


@dataclass(frozen=True, slots=True)
class ScanLimits:
    """Bounds of one recovery point; what is beyond them is left out and reported.

    `timeout_s` bounds the walk by the injected clock, `left_out_limit` the reported list.
    """

    limit_bytes: int = 2 * 1024**3
    limit_entries: int = 200_000
    file_limit_bytes: int = 1024**3
    depth_limit: int = 64
    timeout_s: float = 60
    left_out_limit: int = 100


@dataclass(slots=True)
class _Walk:
    """The state of one scan."""

    tree: LiveTree
    limits: ScanLimits
    monotonic: Callable[[], float]
    deadline: float
    found: list[Found] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    left_out_total: int = 0
    unread: set[Place] = field(default_factory=set)
    total_bytes: int = 0

    def leave_out(self, root: Root, path: bytes, reason: str, *, unread: bool = False) -> None:
        self.left_out_total += 1
        if len(self.left_out) < self.limits.left_out_limit:
            self.left_out.append(LeftOut(root, path, reason))
        if unread:
            self.unread.add((root, path))

    def is_late(self) -> bool:
        return self.monotonic() > self.deadline

    def is_full(self) -> bool:
        return len(self.found) >= self.limits.limit_entries


@dataclass(frozen=True, slots=True)
class _OpenDirectory:
    """The directory being listed, and the device that all of its root must be on.

    `prefix` comes before each name in it.
    """

    root: Root
    prefix: bytes
    descriptor: int
    device: int
    is_too_deep: bool


def scan(tree: LiveTree, *, limits: ScanLimits, monotonic: Callable[[], float]) -> Scan:
    """Walk both roots, the agent's memory first, each level before the next deeper one.

    Raises `FilesError` only if a root itself cannot be opened. `monotonic` gives seconds.
    """
    walk = _Walk(tree, limits, monotonic, deadline=monotonic() + limits.timeout_s)
    roots: tuple[tuple[Root, Path], ...] = (("home", tree.home), ("workspace", tree.workspace))
    for root, directory in roots:
        with Descent(directory) as descent:
            _walk_root(walk, root, descent)
    return Scan(
        found=tuple(walk.found),
        left_out=tuple(walk.left_out),
        left_out_total=walk.left_out_total,
        unread=frozenset(walk.unread),
    )


def _walk_root(walk: _Walk, root: Root, descent: Descent) -> None:
    queue = deque([b""])
    while queue:
        path = queue.popleft()
        if walk.is_late():
            reason = f"not reached within {walk.limits.timeout_s:g} s; its last saved state is kept"
            walk.leave_out(root, path, reason, unread=True)
        else:
            queue.extend(_walk_directory(walk, root, descent, path))


def _walk_directory(walk: _Walk, root: Root, descent: Descent, path: bytes) -> list[bytes]:
    """Look at one directory; return the directories in it that are to be walked."""
    deeper: list[bytes] = []
    try:
        opened = _open_directory(walk, root, descent, path)
        with os.scandir(opened.descriptor) as listing:
            for number, entry in enumerate(listing):
                if number % _DEADLINE_STRIDE == _DEADLINE_STRIDE - 1 and walk.is_late():
                    reason = "not read to its end in time; its last saved state is kept"
                    walk.leave_out(root, path, reason, unread=True)
                    break
                name = os.fsencode(entry.name)
                if (root == "home" or not path) and not is_kept(root, path, name):
                    continue
                if walk.is_full():
                    reason = f"over the limit of {walk.limits.limit_entries} entries"
                    walk.leave_out(root, path, reason)
                    break
                found = _look_at(walk, opened, entry, name)
                if found is not None and found.kind == "directory":
                    deeper.append(found.path)
    except OutsideError as error:
        walk.leave_out(root, path, str(error))
    except OSError as error:
        if error.errno not in GONE_ERRNOS:
            walk.leave_out(root, path, _why(error), unread=error.errno not in SWAPPED_ERRNOS)
    return deeper


def _open_directory(walk: _Walk, root: Root, descent: Descent, path: bytes) -> _OpenDirectory:
    descriptor = descent.directory(path)
    prefix = path + b"/" if path else b""
    is_too_deep = prefix.count(b"/") >= walk.limits.depth_limit
    return _OpenDirectory(root, prefix, descriptor, descent.device, is_too_deep)


def is_kept(root: Root, directory: bytes, name: bytes) -> bool:
    """Whether a name belongs to a recovery point: of a home the memory, of a workspace all.

    But for a clone that is not whole yet. What does not belong is passed over silently: it is no
    loss but the rule.
    """
    if root == "workspace":
        return bool(directory) or name != UNFINISHED_IMPORT
    if not directory:
        return name == AGENT_MEMORY_DIRECTORY
    if directory == AGENT_MEMORY_DIRECTORY:
        return name in AGENT_MEMORY
    return name != CREDENTIALS_NAME


def _look_at(
    walk: _Walk, directory: _OpenDirectory, entry: os.DirEntry[str], name: bytes
) -> Found | None:
    """Note one entry, in what was found or in what was left out; return what was found."""
    path, size, target = directory.prefix + name, 0, b""
    try:
        status = entry.stat(follow_symlinks=False)
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        reason = _refusal(walk, directory, path, status)
        if kind is None or reason is not None:
            walk.leave_out(directory.root, path, reason or "of an unknown kind")
            return None
        if kind == "file":
            size = status.st_size
        elif kind == "symlink":
            target = os.readlink(name, dir_fd=directory.descriptor)
    except OSError as error:
        if error.errno not in GONE_ERRNOS:
            walk.leave_out(directory.root, path, _why(error), unread=True)
        return None
    mode = status.st_mode & PERMISSION_BITS
    times = (status.st_mtime_ns, status.st_ctime_ns)
    found = Found(directory.root, path, kind, mode, *times, size, target)
    walk.found.append(found)
    walk.total_bytes += size
    return found


def _refusal(
    walk: _Walk, directory: _OpenDirectory, path: bytes, status: os.stat_result
) -> str | None:
    """Say why this must not be part of a recovery point; None if it may."""
    limits, kind = walk.limits, stat.S_IFMT(status.st_mode)
    reason = _SPECIAL.get(kind)
    if reason is not None:
        return reason
    if status.st_dev != directory.device:
        reason = "on another file system"
    elif directory.is_too_deep:
        reason = f"deeper than {limits.depth_limit} levels"
    elif len(path) > PATH_LIMIT_BYTES:
        reason = f"a path longer than {PATH_LIMIT_BYTES} bytes"
    elif directory.root == "home" and not directory.prefix and kind != stat.S_IFDIR:
        reason = "not a directory"  # the agent's memory, of which a home has nothing else
    elif kind == stat.S_IFREG:
        reason = file_refusal(status, limits=limits, owner_uid=walk.tree.owner_uid)
        if reason is None and walk.total_bytes + status.st_size > limits.limit_bytes:
            reason = f"over the workspace's limit of {limits.limit_bytes} bytes"
    return reason


def file_refusal(status: os.stat_result, *, limits: ScanLimits, owner_uid: int) -> str | None:
    """Say why a regular file must not be read; None if it may.

    The size is the apparent one: a sparse terabyte is a terabyte to read.
    """
    if status.st_nlink > 1 and status.st_uid != owner_uid:
        return "a hard link to a file of another owner"
    if status.st_size > limits.file_limit_bytes:
        return f"larger than the limit of {limits.file_limit_bytes} bytes for one file"
    return None


def _why(error: OSError) -> str:
    if error.errno in SWAPPED_ERRNOS:
        return "swapped for something else during the scan"
    return f"cannot be read: {error.strerror}"
