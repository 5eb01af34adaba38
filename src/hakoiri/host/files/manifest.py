"""A recovery point's manifest: what it says, and what makes it valid (docs/workspace-format.md)."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from hakoiri.host.files.packs import PACK_LIMIT_BYTES, Parts
from hakoiri.host.files.paths import PathError, Root, check_path, check_target, parent_of
from hakoiri.host.files.points import NewPoint, PointReason
from hakoiri.host.files.ports import FilesError

MANIFEST_LIMIT_BYTES = 128 * 1024 * 1024
"""About 500,000 entries; the settings' limit of entries is reached long before."""

PERMISSION_BITS = 0o777
"""All of a mode that is kept: set-id and sticky bits are dropped on the way in and out."""

Kind = Literal["file", "directory", "symlink"]

_INT64 = 2**63
_DIGEST = re.compile(r"[0-9a-f]{64}")
_RECOVERY_POINT = re.compile(r"rp-[0-9a-f]{32}")
_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_SESSION = re.compile(r"[0-9a-fA-F-]{1,64}")


class ManifestError(FilesError):
    """These bytes are not a manifest of ours; the message names the field."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, directory or symlink.

    `path` is relative to its root, raw bytes. `mode` has permission bits only. `size` (bytes) and
    `sha256` (hex) belong to files, `target` (raw bytes, never followed) to symlinks. `ctime_ns` is
    when the host's file system last saw the file change before its bytes were read; 0 if it was
    too fresh to tell a later change apart. It only saves reading, it is not restored. `parts` say
    where a file's bytes lie; None, as all of version 1: in a blob of its own.
    """

    root: Root
    path: bytes
    kind: Kind
    mode: int
    mtime_ns: int
    size: int = 0
    sha256: str = ""
    target: bytes = b""
    ctime_ns: int = 0
    parts: Parts = None

    @property
    def place(self) -> tuple[Root, bytes]:
        """What identifies an entry in a manifest, and what entries are sorted by."""
        return (self.root, self.path)


@dataclass(frozen=True, slots=True)
class Manifest:
    """All of a recovery point but the bytes of its files."""

    workspace_id: str
    parent: str | None
    generation: int
    event_number: int
    session_id: str | None
    created: datetime
    entries: tuple[Entry, ...]

    @property
    def file_bytes(self) -> int:
        """The sum of all files' sizes."""
        return sum(entry.size for entry in self.entries)

    def as_point(self, reason: PointReason) -> NewPoint:
        """Return what is recorded of it when a head moves to it."""
        return NewPoint(
            created=self.created,
            parent=self.parent,
            files=sum(entry.kind == "file" for entry in self.entries),
            file_bytes=self.file_bytes,
            reason=reason,
        )


def recovery_point_of(encoded: bytes) -> str:
    """Return the id of the recovery point whose manifest these bytes are."""
    return "rp-" + hashlib.sha256(encoded).hexdigest()[:32]


def is_recovery_point(text: str) -> bool:
    """Whether `text` has the form of a recovery point's id."""
    return _RECOVERY_POINT.fullmatch(text) is not None


def check_manifest(manifest: Manifest) -> None:
    """Raise `ManifestError` for whatever a reader could not rely on, naming the field."""
    if not _IDENTIFIER.fullmatch(manifest.workspace_id):
        raise ManifestError("workspace: not an identifier")
    if manifest.parent is not None and not is_recovery_point(manifest.parent):
        raise ManifestError("parent: not a recovery point")
    if not 1 <= manifest.generation <= 2**31:
        raise ManifestError("generation: out of range")
    if not 0 <= manifest.event_number < _INT64:
        raise ManifestError("event_number: out of range")
    if manifest.session_id is not None and not _SESSION.fullmatch(manifest.session_id):
        raise ManifestError("session_id: not a session id")
    if manifest.created.tzinfo is None:
        raise ManifestError("created: a time without a zone")
    _check_entries(manifest.entries)


def _check_entries(entries: tuple[Entry, ...]) -> None:
    """Check each entry, the order, and that each parent is a directory of this manifest.

    So a restore never has to go through a file or a symlink of the manifest's own making.
    """
    directories: set[tuple[Root, bytes]] = {("home", b""), ("workspace", b"")}
    previous: tuple[Root, bytes] | None = None
    for number, entry in enumerate(entries):
        try:
            _check_entry(entry)
        except (ManifestError, PathError) as error:
            raise ManifestError(f"entries[{number}]: {error}") from error
        if previous is not None and entry.place <= previous:
            raise ManifestError(f"entries[{number}]: out of order, or twice the same path")
        if (entry.root, parent_of(entry.path)) not in directories:
            raise ManifestError(f"entries[{number}]: its parent is not a directory here")
        if entry.kind == "directory":
            directories.add(entry.place)
        previous = entry.place


def _check_entry(entry: Entry) -> None:
    if entry.root not in ("workspace", "home"):
        raise ManifestError("root: neither workspace nor home")
    check_path(entry.path)
    if not 0 <= entry.mode <= PERMISSION_BITS:
        raise ManifestError("mode: more than permission bits")
    if not -_INT64 <= entry.mtime_ns < _INT64:
        raise ManifestError("mtime_ns: out of range")
    if entry.kind == "symlink":
        check_target(entry.target)
    elif entry.kind == "file":
        if not 0 <= entry.size < _INT64:
            raise ManifestError("size: out of range")
        if not 0 <= entry.ctime_ns < _INT64:
            raise ManifestError("ctime_ns: out of range")
        if not _DIGEST.fullmatch(entry.sha256):
            raise ManifestError("sha256: not 64 hex digits")
        _check_parts(entry)
    elif entry.kind != "directory":
        raise ManifestError("kind: unknown")


def _check_parts(entry: Entry) -> None:
    """Check that the parts are the file from its first byte to its last."""
    if entry.parts is None:
        return
    for part in entry.parts:
        if part.pack.coding not in ("none", "zstd"):
            raise ManifestError("packs: a coding that is unknown")
        if not 1 <= part.pack.plain_size <= PACK_LIMIT_BYTES:
            raise ManifestError("packs: a size out of range")
        if not 1 <= part.pack.size <= PACK_LIMIT_BYTES:
            raise ManifestError("packs: a stored size out of range")
        if not _DIGEST.fullmatch(part.pack.id) or not _DIGEST.fullmatch(part.sha256):
            raise ManifestError("parts: not 64 hex digits")
        if part.length < 1 or not 0 <= part.offset <= part.pack.plain_size - part.length:
            raise ManifestError("parts: outside of its pack")
    if sum(part.length for part in entry.parts) != entry.size:
        raise ManifestError("parts: not as long as the file")
    if len(entry.parts) == 1 and entry.parts[0].sha256 != entry.sha256:
        raise ManifestError("parts: another hash than the file's")
