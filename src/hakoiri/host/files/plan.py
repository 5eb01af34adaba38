"""What a save has to do: the last manifest and a fresh scan in, uploads, keeps and deletes out."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from hakoiri.host.files.manifest import Entry, Kind
from hakoiri.host.files.packs import objects_of
from hakoiri.host.files.paths import Root, parent_of, reported

Place = tuple[Root, bytes]

_place_of = attrgetter("root", "path")
"""What `place` gives, without a call of Python for each of many thousands."""


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

    `unread` names paths that could not be looked at now (a changing file, a directory the time did
    not suffice for): their last saved state stays in the recovery point.
    """

    found: tuple[Found, ...]
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
    """Compare; a file is kept without reading if size, mtime and ctime are those of the manifest.

    rsync compares size and mtime, which an agent can set back after a change. It cannot set back
    the ctime of the host's file system, so that is compared too. What lies in the objects `without`
    is not kept, but read and stored anew.
    """
    before: dict[Place, Entry] = dict(zip(map(_place_of, previous), previous, strict=True))
    upload: list[Found] = []
    keep: list[Entry] = []
    for found in scan.found:
        known = before.pop((found.root, found.path), None)
        if found.kind != "file":
            keep.append(entry_of(found))
        elif (
            known is not None
            and is_unchanged(known, found)
            and (not without or without.isdisjoint(objects_of(known)))
        ):
            keep.append(known)
        else:
            upload.append(found)
    carried = _carried(before, scan.unread)
    delete = [entry for place, entry in before.items() if place not in carried]
    return Plan(upload=tuple(upload), keep=(*keep, *carried.values()), delete=tuple(delete))


def is_unchanged(known: Entry, found: Found) -> bool:
    """Whether a file still holds the bytes of `known`, as far as stat(2) can tell.

    A `ctime_ns` of 0 in the manifest means that it could not tell then, so it is read again.
    """
    return (
        known.ctime_ns == found.ctime_ns != 0
        and known.mtime_ns == found.mtime_ns
        and known.size == found.size
        and known.mode == found.mode
        and known.kind == "file"
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
