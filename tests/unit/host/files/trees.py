"""Trees on a real file system: made from a description, and described again."""

import os
import stat
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import strategies as st

from hakoiri.host.files.ports import LiveTree, ObjectStore, WorkspaceHeads
from hakoiri.host.files.scan import ScanLimits
from hakoiri.host.files.sync import FileSync

NOON = datetime(2026, 1, 2, 12, 0, 0, 250_000, tzinfo=UTC)
MTIME_NS = 1_700_000_000_123_456_789
LIMITS = ScanLimits()


@dataclass(frozen=True)
class File:
    content: bytes
    mode: int = 0o644


@dataclass(frozen=True)
class Link:
    target: bytes


@dataclass(frozen=True)
class Folder:
    children: "dict[bytes, Node]"
    mode: int = 0o755


Node = File | Link | Folder
Described = dict[bytes, tuple[object, ...]]

names = st.binary(min_size=1, max_size=12).filter(
    lambda name: name not in (b".", b"..") and b"/" not in name and b"\0" not in name
)
files = st.builds(
    File, st.binary(max_size=40), st.integers(0, 0o777).map(lambda mode: mode | 0o600)
)
links = st.builds(Link, st.binary(min_size=1, max_size=20).filter(lambda t: b"\0" not in t))
nodes: st.SearchStrategy[Node] = st.recursive(
    files | links,
    lambda children: st.builds(
        Folder,
        st.dictionaries(names, children, max_size=4),
        st.integers(0, 0o777).map(lambda mode: mode | 0o700),
    ),
    max_leaves=8,
)
children = st.dictionaries(names, nodes, max_size=5)


def make_live_tree(base: Path, *, owner_uid: int | None = None) -> LiveTree:
    (base / "workspace").mkdir(parents=True)
    (base / "home").mkdir()
    uid = os.getuid() if owner_uid is None else owner_uid
    gid = os.getgid() if owner_uid is None else owner_uid
    return LiveTree(base / "workspace", base / "home", owner_uid=uid, owner_gid=gid)


def build(root: Path, described: dict[bytes, Node]) -> None:
    for name, node in described.items():
        path = os.fsencode(root) + b"/" + name
        if isinstance(node, Link):
            os.symlink(node.target, path)  # noqa: PTH211 - names are bytes here
        elif isinstance(node, File):
            with open(path, "wb") as file:  # noqa: PTH123 - names are bytes here
                file.write(node.content)
            os.chmod(path, node.mode)  # noqa: PTH101 - names are bytes here
        else:
            os.mkdir(path)  # noqa: PTH102 - names are bytes here
            build(Path(os.fsdecode(path)), node.children)
            os.chmod(path, node.mode)  # noqa: PTH101 - names are bytes here
        os.utime(path, ns=(MTIME_NS, MTIME_NS), follow_symlinks=False)


def describe(root: Path) -> Described:
    """All below `root` with bytes, mode and mtime, but for what a restore may not keep."""
    seen: Described = {}
    base = os.fsencode(root)
    for directory, directories, names_here in os.walk(base):
        for name in directories + names_here:
            path = os.path.join(directory, name)  # noqa: PTH118 - names are bytes here
            status = os.lstat(path)
            content: bytes = b""
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)  # noqa: PTH115 - names are bytes here
            elif stat.S_ISREG(status.st_mode):
                content = Path(os.fsdecode(path)).read_bytes()
            seen[path[len(base) + 1 :]] = (
                stat.S_IFMT(status.st_mode),
                status.st_mode & 0o777,
                status.st_mtime_ns,
                content,
            )
    return seen


def a_second_later() -> int:
    """The file system's clock, far enough on that every ctime is settled."""
    return time.time_ns() + 1_000_000_000


def file_sync(
    store: ObjectStore, heads: WorkspaceHeads, *, limits: ScanLimits = LIMITS
) -> FileSync:
    return FileSync(
        store=store, heads=heads, limits=limits, clock=lambda: NOON, wall_ns=a_second_later
    )
