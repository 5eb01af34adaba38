"""Looks at a live tree without reading a file: bounded, following nothing, opening no device.

Runs in a worker thread. The tree belongs to a hostile container, which may change it at any moment.
"""

import os
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hakoiri.host.files.descent import GONE_ERRNOS, SWAPPED_ERRNOS, Descent, OutsideError
from hakoiri.host.files.manifest import PERMISSION_BITS, Entry, Kind
from hakoiri.host.files.paths import PATH_LIMIT_BYTES, Root
from hakoiri.host.files.plan import Found, LeftOut, Place, Scan, entry_of, is_unchanged
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
# How `os.fsencode` encodes a name; its own checks take longer, of each of many thousands.
_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
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
    known: Mapping[Root, dict[bytes, Entry]]
    """What the last recovery point says of each path; taken out of it once it is seen."""

    found: list[Found] = field(default_factory=list)
    same: list[Entry] = field(default_factory=list)
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

    def room(self) -> int:
        return self.limits.limit_entries - len(self.same) - len(self.found)


@dataclass(frozen=True, slots=True)
class _OpenDirectory:
    """The directory being listed, and the device that all of its root must be on.

    `prefix` comes before each name in it; `known` is what was known of its root.
    """

    root: Root
    prefix: bytes
    descriptor: int
    device: int
    is_too_deep: bool
    is_usual: bool
    known: dict[bytes, Entry]


def scan(
    tree: LiveTree,
    *,
    limits: ScanLimits,
    monotonic: Callable[[], float],
    known: Iterable[Entry] = (),
) -> Scan:
    """Walk both roots, the agent's memory first, each level before the next deeper one.

    `known` are the entries of the last recovery point: what is still as one of them says is told
    by the entry itself. Raises `FilesError` only if a root itself cannot be opened. `monotonic`
    gives seconds.
    """
    by_root: Mapping[Root, dict[bytes, Entry]] = {"home": {}, "workspace": {}}
    for entry in known:
        by_root[entry.root][entry.path] = entry
    walk = _Walk(tree, limits, monotonic, monotonic() + limits.timeout_s, by_root)
    roots: tuple[tuple[Root, Path], ...] = (("home", tree.home), ("workspace", tree.workspace))
    for root, directory in roots:
        with Descent(directory) as descent:
            _walk_root(walk, root, descent)
    return Scan(
        found=tuple(walk.found),
        same=tuple(walk.same),
        total_bytes=walk.total_bytes,
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
        room = walk.room()  # of which each name takes one at most
        with os.scandir(opened.descriptor) as listing:
            for number, entry in enumerate(listing):
                if number % _DEADLINE_STRIDE == _DEADLINE_STRIDE - 1 and walk.is_late():
                    reason = "not read to its end in time; its last saved state is kept"
                    walk.leave_out(root, path, reason, unread=True)
                    break
                name = entry.name.encode(_ENCODING, _ERRORS)
                if (root == "home" or not path) and not is_kept(root, path, name):
                    continue
                if number >= room and walk.room() <= 0:
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
    is_usual = not is_too_deep and (root == "workspace" or bool(prefix))
    return _OpenDirectory(
        root, prefix, descriptor, descent.device, is_too_deep, is_usual, walk.known[root]
    )


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
) -> Found | Entry | None:
    """Note one entry, in what was found, the same or left out; return it if it was not left out."""
    path = directory.prefix + name
    known = directory.known.pop(path, None)
    try:
        status = entry.stat(follow_symlinks=False)
        same = known if known is not None and is_unchanged(known, status) else None
        if same is None or not _is_plainly_allowed(walk, directory, status):
            reason = _refusal(walk, directory, path, status)
            if reason is not None:
                walk.leave_out(directory.root, path, reason)
                return None
        if same is not None:
            walk.same.append(same)
            walk.total_bytes += same.size
            return same
        found = _found(directory, path, status)
    except OSError as error:
        if error.errno not in GONE_ERRNOS:
            walk.leave_out(directory.root, path, _why(error), unread=True)
        return None
    if known is not None and found.kind != "file" and entry_of(found) == known:
        walk.same.append(known)
        return known
    walk.found.append(found)
    walk.total_bytes += found.size
    return found


def _found(directory: _OpenDirectory, path: bytes, status: os.stat_result) -> Found:
    """Return what is there, which must not be refused; `OSError` of a link that went away."""
    kind, size, target = _KINDS[stat.S_IFMT(status.st_mode)], 0, b""
    if kind == "file":
        size = status.st_size
    elif kind == "symlink":
        name = path[len(directory.prefix) :]
        target = os.readlink(name, dir_fd=directory.descriptor)
    mode = status.st_mode & PERMISSION_BITS
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return Found(directory.root, path, kind, mode, *times, size, target)


def _is_plainly_allowed(walk: _Walk, directory: _OpenDirectory, status: os.stat_result) -> bool:
    """Whether `_refusal` has nothing against a known file, told in less time."""
    size = status.st_size
    return (
        status.st_dev == directory.device
        and status.st_nlink == 1
        and directory.is_usual
        and size <= walk.limits.file_limit_bytes
        and walk.total_bytes + size <= walk.limits.limit_bytes
    )


def _refusal(
    walk: _Walk, directory: _OpenDirectory, path: bytes, status: os.stat_result
) -> str | None:
    """Say why this must not be part of a recovery point; None if it may."""
    limits, kind = walk.limits, stat.S_IFMT(status.st_mode)
    reason = None
    if kind not in _KINDS:
        reason = _SPECIAL.get(kind, "of an unknown kind")
    elif status.st_dev != directory.device:
        reason = "on another file system"
    elif directory.is_too_deep:
        reason = f"deeper than {limits.depth_limit} levels"
    elif len(path) > PATH_LIMIT_BYTES:
        reason = f"a path longer than {PATH_LIMIT_BYTES} bytes"
    elif kind == stat.S_IFREG:
        reason = file_refusal(status, limits=limits, owner_uid=walk.tree.owner_uid)
        if reason is None and walk.total_bytes + status.st_size > limits.limit_bytes:
            reason = f"over the workspace's limit of {limits.limit_bytes} bytes"
    if reason is None and directory.root == "home" and not directory.prefix:
        # the agent's memory, of which a home has nothing else
        reason = None if kind == stat.S_IFDIR else "not a directory"
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
