"""A recovery point's manifest, and its one canonical form as bytes (docs/workspace-format.md)."""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast

from hakoiri.host.files.paths import (
    PathError,
    Root,
    bytes_of,
    check_path,
    check_target,
    parent_of,
    text_of,
)
from hakoiri.host.files.ports import FilesError

FORMAT_VERSION = 1
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
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
_FIELDS = frozenset(
    (
        "created",
        "entries",
        "event_number",
        "generation",
        "parent",
        "session_id",
        "version",
        "workspace",
    )
)
_ENTRY_FIELDS: dict[object, frozenset[str]] = {
    "directory": frozenset(("kind", "mode", "mtime_ns", "path", "root")),
    "file": frozenset(("ctime_ns", "kind", "mode", "mtime_ns", "path", "root", "sha256", "size")),
    "symlink": frozenset(("kind", "mode", "mtime_ns", "path", "root", "target")),
}


class ManifestError(FilesError):
    """These bytes are not a manifest of ours; the message names the field."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, directory or symlink.

    `path` is relative to its root, raw bytes. `mode` has permission bits only. `size` (bytes) and
    `sha256` (hex) belong to files, `target` (raw bytes, never followed) to symlinks. `ctime_ns` is
    when the host's file system last saw the file change before its bytes were read; 0 if it was
    too fresh to tell a later change apart. It only saves reading, it is not restored.
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


def recovery_point_of(encoded: bytes) -> str:
    """Return the id of the recovery point whose manifest these bytes are."""
    return "rp-" + hashlib.sha256(encoded).hexdigest()[:32]


def is_recovery_point(text: str) -> bool:
    """Whether `text` has the form of a recovery point's id."""
    return _RECOVERY_POINT.fullmatch(text) is not None


def encode_manifest(manifest: Manifest, *, limit_bytes: int = MANIFEST_LIMIT_BYTES) -> bytes:
    """Return the canonical bytes; `ManifestError` if it is invalid or over the limit."""
    _check_manifest(manifest)
    encoded = _canonical(manifest)
    if len(encoded) > limit_bytes:
        raise ManifestError(
            f"the manifest has {len(encoded)} bytes, over the limit of {limit_bytes}; "
            "the workspace holds too many entries"
        )
    return encoded


def parse_manifest(encoded: bytes, *, limit_bytes: int = MANIFEST_LIMIT_BYTES) -> Manifest:
    """Read canonical bytes back; `ManifestError` for anything else, naming the field."""
    if len(encoded) > limit_bytes:
        raise ManifestError(f"the manifest is over the limit of {limit_bytes} bytes")
    try:
        document = json.loads(encoded)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"the manifest is not JSON: {error}") from error
    manifest = _manifest_of(document)
    _check_manifest(manifest)
    # Also refuses doubled keys, other spacing and other spellings of the same value.
    if _canonical(manifest) != encoded:
        raise ManifestError("the manifest is not in canonical form")
    return manifest


def _canonical(manifest: Manifest) -> bytes:
    document = {
        "version": FORMAT_VERSION,
        "workspace": manifest.workspace_id,
        "parent": manifest.parent,
        "generation": manifest.generation,
        "event_number": manifest.event_number,
        "session_id": manifest.session_id,
        "created": manifest.created.astimezone(UTC).strftime(_TIME),
        "entries": [_entry_document(entry) for entry in manifest.entries],
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.encode() + b"\n"


def _entry_document(entry: Entry) -> dict[str, object]:
    document: dict[str, object] = {
        "root": entry.root,
        "path": text_of(entry.path),
        "kind": entry.kind,
        "mode": entry.mode,
        "mtime_ns": entry.mtime_ns,
    }
    if entry.kind == "file":
        document |= {"size": entry.size, "sha256": entry.sha256, "ctime_ns": entry.ctime_ns}
    elif entry.kind == "symlink":
        document["target"] = text_of(entry.target)
    return document


def _manifest_of(document: Any) -> Manifest:
    if not isinstance(document, dict):
        raise ManifestError("the manifest is not a JSON object")
    if document.get("version") != FORMAT_VERSION:
        raise ManifestError(
            f"version: this program reads {FORMAT_VERSION}, not {document.get('version')!r:.80}"
        )
    if document.keys() != _FIELDS:
        raise ManifestError(f"fields: {sorted(document)!s:.200} instead of {sorted(_FIELDS)}")
    entries = document["entries"]
    if not isinstance(entries, list):
        raise ManifestError("entries: not a list")
    return Manifest(
        workspace_id=_text(document, "workspace"),
        parent=None if document["parent"] is None else _text(document, "parent"),
        generation=_number(document, "generation"),
        event_number=_number(document, "event_number"),
        session_id=None if document["session_id"] is None else _text(document, "session_id"),
        created=_time(_text(document, "created")),
        entries=tuple([_entry_of(entry, number) for number, entry in enumerate(entries)]),
    )


def _entry_of(document: Any, number: int) -> Entry:
    try:
        fields = _entry_fields(document)
        return Entry(
            root=cast("Root", _text(document, "root")),
            path=bytes_of(_text(document, "path")),
            kind=cast("Kind", document["kind"]),
            mode=_number(document, "mode"),
            mtime_ns=_number(document, "mtime_ns"),
            size=_number(document, "size") if "size" in fields else 0,
            sha256=_text(document, "sha256") if "sha256" in fields else "",
            target=bytes_of(_text(document, "target")) if "target" in fields else b"",
            ctime_ns=_number(document, "ctime_ns") if "ctime_ns" in fields else 0,
        )
    except (ManifestError, PathError) as error:
        raise ManifestError(f"entries[{number}]: {error}") from error


def _entry_fields(document: Any) -> frozenset[str]:
    if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
        raise ManifestError("kind: missing")
    fields = _ENTRY_FIELDS.get(document["kind"])
    if fields is None or document.keys() != fields:
        raise ManifestError(f"fields: {sorted(document)!s:.200} do not fit the kind")
    return fields


def _text(document: dict[str, Any], field: str) -> str:
    value = document[field]
    if not isinstance(value, str):
        raise ManifestError(f"{field}: not a string")
    return value


def _number(document: dict[str, Any], field: str) -> int:
    value = document[field]
    if type(value) is not int:
        raise ManifestError(f"{field}: not a whole number")
    return value


def _time(text: str) -> datetime:
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError as error:
        raise ManifestError(f"created: {text[:64]!r} is not a time in UTC") from error


def _check_manifest(manifest: Manifest) -> None:
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
    elif entry.kind != "directory":
        raise ManifestError("kind: unknown")
