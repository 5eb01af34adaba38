"""Puts a backup back on a host that has nothing of that instance.

The file with the instance's id comes last: a data directory without it is not taken by a server, so
what was broken off is not started.
"""

import grp
import os
import pwd
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from hakoiri.cli.backup.listing import BackupError, Entry, Head, sha256_of
from hakoiri.cli.backup.places import AUDIT, DATA, DATABASE, DUMP, OBJECTS, PROXY, SETTINGS, Places
from hakoiri.cli.backup.postgresql_dump import load
from hakoiri.cli.supervisor.preparation import INSTANCE_FILE

LAST: Final = f"{DATA}/{INSTANCE_FILE}"
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class _Owner:
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of the files of settings: put back, or kept as they differ."""

    made: list[Path]
    kept: list[Path]


def restore(backup: Path, head: Head, entries: Iterable[Entry], found: Places) -> int:
    """Put all but the settings back; return how many files. Raises `BackupError`.

    Nothing is touched unless all of it can be put where it belongs.
    """
    wanted = [entry for entry in entries if not _is_below(entry.path, SETTINGS)]
    dumps = [entry for entry in wanted if entry.path == DUMP]
    wanted = [entry for entry in wanted if entry.path != DUMP]
    targets = {entry.path: _target(entry.path, found) for entry in wanted}
    owners = {entry.path: _owner_here(entry) for entry in wanted}
    _require_room(head, found)
    if dumps:
        _load_dump(backup, found)
    wanted.sort(key=lambda entry: entry.path == LAST)
    try:
        for parent in _parents(found):
            parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        _put(backup, wanted, targets, owners)
    except OSError as error:
        raise BackupError(
            f"not all was put back: {error}; remove what there is now, empty a database of "
            "PostgreSQL again, and restore again"
        ) from error
    return sum(1 for entry in (*wanted, *dumps) if not entry.is_directory)


def restore_settings(backup: Path, entries: Iterable[Entry], *, root: Path = Path("/")) -> Settled:
    """Put back the files of settings that are missing; leave and tell those that differ.

    Raises `BackupError`.
    """
    done = Settled([], [])
    for entry in entries:
        if entry.is_directory or not _is_below(entry.path, SETTINGS):
            continue
        target = root / PurePosixPath(entry.path).relative_to(SETTINGS)
        owner = _owner_here(entry)
        try:
            if target.exists():
                if sha256_of(target) != entry.sha256:
                    done.kept.append(target)
                continue
            target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            _file(backup / entry.path, target, entry, owner)
        except OSError as error:
            raise BackupError(f"cannot put back {target}: {error.strerror}") from error
        done.made.append(target)
    return done


def _load_dump(backup: Path, found: Places) -> None:
    if found.postgresql is None:
        raise BackupError(
            "HAKOIRI_DATABASE_URL: the backup's database is one of PostgreSQL; restore with the "
            "settings of then"
        )
    load(found.postgresql, backup / DUMP)


def _target(path: str, found: Places) -> Path:
    if path == DATABASE and found.database is not None:
        return found.database
    for name, place in (
        (DATA, found.data_dir),
        (OBJECTS, found.objects),
        (AUDIT, found.audit),
        (PROXY, found.proxy),
    ):
        if place is not None and _is_below(path, name):
            return place / PurePosixPath(path).relative_to(name)
    raise BackupError(
        f"the backup holds {path}, for which this host's settings have no place; restore with the "
        "settings of then (`hakoiri backup restore --settings`)"
    )


def _owner_here(entry: Entry) -> _Owner:
    try:
        uid = int(entry.owner) if entry.owner.isdecimal() else pwd.getpwnam(entry.owner).pw_uid
        gid = int(entry.group) if entry.group.isdecimal() else grp.getgrnam(entry.group).gr_gid
    except KeyError as error:
        raise BackupError(
            f"{entry.path} belongs to {entry.owner}, group {entry.group}, which this host does "
            "not have; install Hakoiri first"
        ) from error
    return _Owner(uid, gid)


def _require_room(head: Head, found: Places) -> None:
    if head.has_database != (found.database is not None):
        raise BackupError(
            "HAKOIRI_DATABASE_URL: the database of the backup is of another kind; restore with the "
            "settings of then"
        )
    if head.has_objects != (found.objects is not None):
        raise BackupError(
            "HAKOIRI_OBJECT_STORE_URL: the store of the backup is of another kind; restore with "
            "the settings of then"
        )
    for place in (found.data_dir, found.database, found.objects, found.audit, found.proxy):
        if place is None:
            continue
        if place.is_file() or (place.is_dir() and any(place.iterdir())):
            raise BackupError(
                f"{place} is there already; a backup is put back where nothing is: stop Hakoiri, "
                "move it away, and restore again"
            )


def _parents(found: Places) -> Iterator[Path]:
    places = (found.database, found.objects, found.audit, found.proxy)
    yield found.data_dir
    yield from (place.parent for place in places if place is not None)


def _put(
    backup: Path, entries: list[Entry], targets: dict[str, Path], owners: dict[str, _Owner]
) -> None:
    directories: list[Entry] = []
    for entry in entries:
        target, owner = targets[entry.path], owners[entry.path]
        if entry.is_directory:
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
            directories.append(entry)
            continue
        if entry.path == LAST:
            # only now, for a directory may be one that we ourselves could not write any more
            for directory in reversed(directories):
                _settle(targets[directory.path], directory, owners[directory.path])
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _file(backup / entry.path, target, entry, owner)


def _settle(path: Path, entry: Entry, owner: _Owner) -> None:
    os.chown(path, owner.uid, owner.gid, follow_symlinks=False)
    path.chmod(entry.mode)


def _file(source: Path, target: Path, entry: Entry, owner: _Owner) -> None:
    with source.open("rb") as file, os.fdopen(os.open(target, _NEW, 0o600), "wb") as copy:
        shutil.copyfileobj(file, copy)
        os.fchown(copy.fileno(), owner.uid, owner.gid)
        os.fchmod(copy.fileno(), entry.mode)
        copy.flush()
        os.fsync(copy.fileno())


def _is_below(path: str, name: str) -> bool:
    return PurePosixPath(path).is_relative_to(name)
