"""The one canonical form of a manifest as bytes; version 2 is written, 1 is read too."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast

from hakoiri.host.files.manifest import (
    MANIFEST_LIMIT_BYTES,
    Entry,
    Kind,
    Manifest,
    ManifestError,
    check_manifest,
)
from hakoiri.host.files.packs import Coding, Pack, Part, Parts
from hakoiri.host.files.paths import PathError, Root, bytes_of, text_of

FORMAT_VERSION: Final = 2
_READ_VERSIONS: Final = (1, 2)

_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
_FIELDS_1 = frozenset(
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
_FIELDS = {1: _FIELDS_1, 2: _FIELDS_1 | {"packs"}}
_FILE_FIELDS = frozenset(("ctime_ns", "kind", "mode", "mtime_ns", "path", "root", "sha256", "size"))
_ENTRY_FIELDS: dict[object, tuple[frozenset[str], ...]] = {
    "directory": (frozenset(("kind", "mode", "mtime_ns", "path", "root")),),
    "file": (_FILE_FIELDS, _FILE_FIELDS | {"parts"}),
    "symlink": (frozenset(("kind", "mode", "mtime_ns", "path", "root", "target")),),
}
_PACK_FIELDS = 4


def encode_manifest(manifest: Manifest, *, limit_bytes: int = MANIFEST_LIMIT_BYTES) -> bytes:
    """Return the canonical bytes; `ManifestError` if it is invalid or over the limit."""
    check_manifest(manifest)
    encoded = _canonical(manifest, FORMAT_VERSION)
    if len(encoded) > limit_bytes:
        raise ManifestError(
            f"the manifest has {len(encoded)} bytes, over the limit of {limit_bytes}; "
            "the workspace holds too many entries"
        )
    return encoded


def manifest_time(time: datetime) -> str:
    """Return an aware time as manifests have it."""
    return time.astimezone(UTC).strftime(_TIME)


def parse_manifest(encoded: bytes, *, limit_bytes: int = MANIFEST_LIMIT_BYTES) -> Manifest:
    """Read canonical bytes back; `ManifestError` for anything else, naming the field."""
    if len(encoded) > limit_bytes:
        raise ManifestError(f"the manifest is over the limit of {limit_bytes} bytes")
    try:
        document = json.loads(encoded)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"the manifest is not JSON: {error}") from error
    manifest = _manifest_of(document)
    version: int = document["version"]
    check_manifest(manifest)
    # Also refuses doubled keys, other spacing and other spellings of the same value.
    if _canonical(manifest, version) != encoded:
        raise ManifestError("the manifest is not in canonical form")
    return manifest


def _canonical(manifest: Manifest, version: int) -> bytes:
    packs = _packs_of(manifest)
    numbers = {pack: number for number, pack in enumerate(packs)}
    document = {
        "version": version,
        "workspace": manifest.workspace_id,
        "parent": manifest.parent,
        "generation": manifest.generation,
        "event_number": manifest.event_number,
        "session_id": manifest.session_id,
        "created": manifest_time(manifest.created),
        "entries": [_entry_document(entry, numbers) for entry in manifest.entries],
    }
    if version > 1:
        document["packs"] = [[pack.id, pack.coding, pack.plain_size, pack.size] for pack in packs]
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.encode() + b"\n"


def _packs_of(manifest: Manifest) -> list[Pack]:
    packs = {part.pack for entry in manifest.entries for part in entry.parts or ()}
    return sorted(packs, key=lambda pack: (pack.id, pack.coding, pack.plain_size, pack.size))


def _entry_document(entry: Entry, numbers: Mapping[Pack, int]) -> dict[str, object]:
    document: dict[str, object] = {
        "root": entry.root,
        "path": text_of(entry.path),
        "kind": entry.kind,
        "mode": entry.mode,
        "mtime_ns": entry.mtime_ns,
    }
    if entry.kind == "file":
        document |= {"size": entry.size, "sha256": entry.sha256, "ctime_ns": entry.ctime_ns}
        if entry.parts is not None:
            document["parts"] = _parts_document(entry.parts, numbers)
    elif entry.kind == "symlink":
        document["target"] = text_of(entry.target)
    return document


def _parts_document(parts: tuple[Part, ...], numbers: Mapping[Pack, int]) -> list[object]:
    """A file's only part has its size and its hash, so they are not said twice."""
    if len(parts) == 1:
        return [[numbers[parts[0].pack], parts[0].offset]]
    return [[numbers[part.pack], part.offset, part.length, part.sha256] for part in parts]


def _manifest_of(document: Any) -> Manifest:
    if not isinstance(document, dict):
        raise ManifestError("the manifest is not a JSON object")
    version = document.get("version")
    if type(version) is not int or version not in _READ_VERSIONS:
        raise ManifestError(f"version: this program reads 1 and 2, not {version!r:.80}")
    if document.keys() != _FIELDS[version]:
        expected = sorted(_FIELDS[version])
        raise ManifestError(f"fields: {sorted(document)!s:.200} instead of {expected}")
    packs = _packs_in(document["packs"]) if version > 1 else None
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
        entries=tuple([_entry_of(entry, number, packs) for number, entry in enumerate(entries)]),
    )


def _packs_in(document: Any) -> list[Pack]:
    if not isinstance(document, list):
        raise ManifestError("packs: not a list")
    packs: list[Pack] = []
    for pack in document:
        match pack:
            case [str(digest), str(coding), int(plain_size), int(size)] if not (
                isinstance(plain_size, bool) or isinstance(size, bool)
            ):
                packs.append(Pack(digest, cast("Coding", coding), plain_size, size))
            case _:
                raise ManifestError(f"packs[{len(packs)}]: not {_PACK_FIELDS} fields of a pack")
    return packs


def _entry_of(document: Any, number: int, packs: Sequence[Pack] | None) -> Entry:
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
            parts=_parts_in(document, packs) if "parts" in fields else None,
        )
    except (ManifestError, PathError) as error:
        raise ManifestError(f"entries[{number}]: {error}") from error


def _entry_fields(document: Any) -> frozenset[str]:
    if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
        raise ManifestError("kind: missing")
    for fields in _ENTRY_FIELDS.get(document["kind"], ()):
        if document.keys() == fields:
            return fields
    raise ManifestError(f"fields: {sorted(document)!s:.200} do not fit the kind")


def _parts_in(document: dict[str, Any], packs: Sequence[Pack] | None) -> Parts:
    told = document["parts"]
    if packs is None:
        raise ManifestError("parts: version 1 has none")
    if not isinstance(told, list):
        raise ManifestError("parts: not a list")
    parts: list[Part] = []
    for part in told:
        if isinstance(part, list) and any(isinstance(value, bool) for value in part):
            raise ManifestError("parts: not a whole number")
        match part:
            case [int(number), int(offset)] if len(told) == 1:
                length, sha256 = _number(document, "size"), _text(document, "sha256")
            case [int(number), int(offset), int(length), str(sha256)] if len(told) > 1:
                pass
            case _:
                raise ManifestError("parts: neither two fields of one nor four of several")
        if not 0 <= number < len(packs):
            raise ManifestError("parts: a pack that is not there")
        parts.append(Part(packs[number], offset, length, sha256))
    return tuple(parts)


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
