"""What a save has to do: the last manifest and a fresh scan in, uploads, keeps and deletes out."""

import stat
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, NamedTuple, Protocol

from hakoiri.host.files.manifest import PERMISSION_BITS, Entry, Kind
from hakoiri.host.files.packs import objects_of
from hakoiri.host.files.paths import Root, parent_of, reported

Place = tuple[Root, bytes]

_place_of = attrgetter("root", "path")
"""What `place` gives, without a call of Python for each of many thousands."""

_KIND_AND_PERMISSIONS: Final = stat.S_IFMT(0o777777) | PERMISSION_BITS


class Status(Protocol):
    """What is compared of what stat(2) tells, as `os.stat_result` has it."""

    @property
    def st_mode(self) -> int:
        """Kind and permission bits."""

    @property
    def st_size(self) -> int:
        """Bytes."""

    @property
    def st_mtime_ns(self) -> int:
        """When the bytes changed, which the owner may set to anything."""

    @property
    def st_ctime_ns(self) -> int:
        """When anything of it changed, which nobody can set."""


class Found(NamedTuple):
    """What a scan saw of one path, without reading any file: the fields of stat(2).

    A tuple, for there is one for each path of each save.
    """

    root: Root
    path: bytes
    kind: Kind
    mode: int
    mtime_ns: int
    ctime_ns: int
    size: int = 0
    target: bytes = b""

    @property
    def place(self) -> Place:
        """Where it was seen."""
        return (self.root, self.path)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A path that is not in the recovery point as it is, and why."""

    root: Root
    path: bytes
    reason: str

    def __str__(self) -> str:
        """One printable line for a report."""
        return f"{self.root}/{reported(self.path)}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Scan:
    """All a scan saw. `left_out` is bounded, `left_out_total` is not.

    `same` are entries of the last recovery point that are still as it says, each once and none of
    them in `found`. `total_bytes` is the size of all files of both. `unread` names paths that could
    not be looked at now (a changing file, a directory the time did not suffice for): their last
    saved state stays in the recovery point.
    """

    found: tuple[Found, ...]
    same: tuple[Entry, ...] = ()
    total_bytes: int = 0
    left_out: tuple[LeftOut, ...] = ()
    left_out_total: int = 0
    unread: frozenset[Place] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """`upload` must be read, hashed and stored if new; `keep` is taken over; `delete` is gone."""

    upload: tuple[Found, ...]
    keep: tuple[Entry, ...]
    delete: tuple[Entry, ...]


def make_plan(
    previous: Collection[Entry], scan: Scan, *, without: frozenset[str] = frozenset()
) -> Plan:
    """Say what to do with what a scan saw that knew the entries `previous`.

    Files that it found the same are kept without reading, but for what lies in the objects
    `without`: that is read and stored anew.
    """
    keep, unseen = _told_apart(previous, scan)
    upload: list[Found] = []
    if without:
        upload += [found_of(entry) for entry in keep if not without.isdisjoint(objects_of(entry))]
        keep = [entry for entry in keep if without.isdisjoint(objects_of(entry))]
    for found in scan.found:
        unseen.pop(found.place, None)
        if found.kind == "file":
            upload.append(found)
        else:
            keep.append(entry_of(found))
    carried = _carried(unseen, scan.unread)
    delete = [entry for place, entry in unseen.items() if place not in carried]
    return Plan(upload=tuple(upload), keep=(*keep, *carried.values()), delete=tuple(delete))


def _told_apart(previous: Collection[Entry], scan: Scan) -> tuple[list[Entry], dict[Place, Entry]]:
    """Return the entries that are the same, in the manifest's order, and the others by place."""
    if len(scan.same) == len(previous):
        return list(previous), {}
    same = set(map(id, scan.same))
    keep = [entry for entry in previous if id(entry) in same]
    return keep, {entry.place: entry for entry in previous if id(entry) not in same}


def is_unchanged(known: Entry, status: Status) -> bool:
    """Whether a file still holds the bytes of `known`, as far as stat(2) can tell.

    rsync compares size and mtime, which an agent can set back after a change. It cannot set back
    the ctime of the host's file system, so that is compared too. A `ctime_ns` of 0 in the manifest
    means that it was too fresh to tell a later change apart, so the file is read again.
    """
    return (
        known.ctime_ns == status.st_ctime_ns != 0
        and known.mtime_ns == status.st_mtime_ns
        and known.size == status.st_size
        and status.st_mode & _KIND_AND_PERMISSIONS == stat.S_IFREG | known.mode
        and known.kind == "file"
    )


def found_of(entry: Entry) -> Found:
    """Return what a scan would tell of an entry that is the same."""
    return Found(
        entry.root,
        entry.path,
        entry.kind,
        entry.mode,
        entry.mtime_ns,
        entry.ctime_ns,
        entry.size,
        entry.target,
    )


def entry_of(found: Found) -> Entry:
    """Return the manifest's entry of a directory or symlink, which have no bytes to store."""
    return Entry(
        root=found.root,
        path=found.path,
        kind=found.kind,
        mode=found.mode,
        mtime_ns=found.mtime_ns,
        target=found.target,
    )


def in_order(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return entries as a manifest wants them: sorted, and none without its directory.

    A directory can turn into a file between scan and reading; what was below it is then gone.
    """
    ordered: list[Entry] = []
    directories: set[Place] = {("home", b""), ("workspace", b"")}
    for entry in sorted(entries, key=_place_of):
        if (entry.root, parent_of(entry.path)) in directories:
            ordered.append(entry)
            if entry.kind == "directory":
                directories.add((entry.root, entry.path))
    return tuple(ordered)


def places_of(entries: Iterable[Entry]) -> set[Place]:
    """Return where they are."""
    return set(map(_place_of, entries))


def _carried(unseen: dict[Place, Entry], unread: frozenset[Place]) -> dict[Place, Entry]:
    """Return those of the entries that were not seen because they could not be looked at."""
    if not unread:
        return {}
    return {place: entry for place, entry in unseen.items() if _is_below(place, unread)}


def _is_below(place: Place, unread: frozenset[Place]) -> bool:
    root, path = place
    while path:
        if (root, path) in unread:
            return True
        path = parent_of(path)
    return (root, b"") in unread
