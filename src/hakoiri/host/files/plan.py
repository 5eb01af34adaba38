"""What a save has to do: the last manifest and a fresh scan in, uploads, keeps and deletes out."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from hakoiri.host.files.manifest import Entry, Kind
from hakoiri.host.files.packs import objects_of
from hakoiri.host.files.paths import Root, parent_of, reported

Place = tuple[Root, bytes]


@dataclass(frozen=True, slots=True)
class Found:
    """What a scan saw of one path, without reading any file: the fields of stat(2)."""

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


@dataclass(slots=True)
class _Draft:
    upload: list[Found] = field(default_factory=list)
    keep: list[Entry] = field(default_factory=list)


def make_plan(
    previous: Iterable[Entry], scan: Scan, *, without: frozenset[str] = frozenset()
) -> Plan:
    """Compare; a file is kept without reading if size, mtime and ctime are those of the manifest.

    rsync compares size and mtime, which an agent can set back after a change. It cannot set back
    the ctime of the host's file system, so that is compared too. What lies in the objects `without`
    is not kept, but read and stored anew.
    """
    before = {entry.place: entry for entry in previous}
    draft = _Draft()
    for found in scan.found:
        known = before.get(found.place)
        if found.kind != "file":
            draft.keep.append(entry_of(found))
        elif (
            known is not None
            and is_unchanged(known, found)
            and without.isdisjoint(objects_of(known))
        ):
            draft.keep.append(known)
        else:
            draft.upload.append(found)
    draft.keep += _carried(before, scan)
    now = {found.place for found in scan.found} | {entry.place for entry in draft.keep}
    return Plan(
        upload=tuple(draft.upload),
        keep=tuple(draft.keep),
        delete=tuple(entry for place, entry in before.items() if place not in now),
    )


def is_unchanged(known: Entry, found: Found) -> bool:
    """Whether a file still holds the bytes of `known`, as far as stat(2) can tell.

    A `ctime_ns` of 0 in the manifest means that it could not tell then, so it is read again.
    """
    return (
        known.kind == "file"
        and known.ctime_ns != 0
        and (known.size, known.mtime_ns, known.ctime_ns, known.mode)
        == (found.size, found.mtime_ns, found.ctime_ns, found.mode)
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
    for entry in sorted(entries, key=lambda entry: entry.place):
        if (entry.root, parent_of(entry.path)) in directories:
            ordered.append(entry)
            if entry.kind == "directory":
                directories.add(entry.place)
    return tuple(ordered)


def _carried(before: dict[Place, Entry], scan: Scan) -> list[Entry]:
    if not scan.unread:
        return []
    seen = {found.place for found in scan.found}
    return [
        entry
        for place, entry in before.items()
        if place not in seen and _is_below(place, scan.unread)
    ]


def _is_below(place: Place, unread: frozenset[Place]) -> bool:
    root, path = place
    while path:
        if (root, path) in unread:
            return True
        path = parent_of(path)
    return (root, b"") in unread
