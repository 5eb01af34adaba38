"""The one canonical form of a manifest as bytes; version 2 is written, 1 is read too."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast

from hakoiri.host.files.manifest import (
    MANIFEST_LIMIT_BYTES,
    Entry,
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
_ONLY_PART_FIELDS = 2
_PART_FIELDS = 4
_quoted = json.encoder.encode_basestring


def encode_manifest(
    manifest: Manifest,
    *,
    limit_bytes: int = MANIFEST_LIMIT_BYTES,
    checked: Manifest | None = None,
) -> bytes:
    """Return the canonical bytes; `ManifestError` if it is invalid or over the limit.

    `checked` is one that was checked before, whose entries need not be checked again.
    """
    check_manifest(manifest, checked=checked)
    return in_limit(_canonical(manifest, FORMAT_VERSION), limit_bytes=limit_bytes)


def in_limit(encoded: bytes, *, limit_bytes: int = MANIFEST_LIMIT_BYTES) -> bytes:
    """Return a manifest's bytes; `ManifestError` if they are more than a reader accepts."""
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
    """Return the canonical bytes of a manifest that was checked.

    Entries are spelled out here: it is what `json.dumps` gives with sorted keys, in a third of the
    time, and a save writes all of them.
    """
    # By identity: the parts of one pack share it, and hashing it costs as much as a line of text.
    named = {id(part.pack): part.pack for entry in manifest.entries for part in entry.parts or ()}
    packs = sorted(set(named.values()), key=_order_of)
    place = {pack: number for number, pack in enumerate(packs)}
    numbers = {identity: place[pack] for identity, pack in named.items()}
    after: dict[str, object] = {
        "version": version,
        "workspace": manifest.workspace_id,
        "parent": manifest.parent,
        "generation": manifest.generation,
        "event_number": manifest.event_number,
        "session_id": manifest.session_id,
    }
    if version > 1:
        after["packs"] = [[pack.id, pack.coding, pack.plain_size, pack.size] for pack in packs]
    created = _quoted(manifest_time(manifest.created))
    entries = ",".join([_entry_text(entry, numbers) for entry in manifest.entries])
    rest = json.dumps(after, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return f'{{"created":{created},"entries":[{entries}],{rest[1:]}\n'.encode()


def _order_of(pack: Pack) -> tuple[str, str, int, int]:
    return (pack.id, pack.coding, pack.plain_size, pack.size)


def _entry_text(entry: Entry, numbers: Mapping[int, int]) -> str:
    """Spell out an entry, fields in the order of their names."""
    path, root = _quoted(text_of(entry.path)), entry.root
    if entry.kind == "file":
        parts = "" if entry.parts is None else _parts_text(entry.parts, numbers)
        return (
            f'{{"ctime_ns":{entry.ctime_ns},"kind":"file","mode":{entry.mode},'
            f'"mtime_ns":{entry.mtime_ns},{parts}"path":{path},"root":"{root}",'
            f'"sha256":"{entry.sha256}","size":{entry.size}}}'
        )
    target = f',"target":{_quoted(text_of(entry.target))}' if entry.kind == "symlink" else ""
    return (
        f'{{"kind":"{entry.kind}","mode":{entry.mode},"mtime_ns":{entry.mtime_ns},'
        f'"path":{path},"root":"{root}"{target}}}'
    )


def _parts_text(parts: tuple[Part, ...], numbers: Mapping[int, int]) -> str:
    """A file's only part has its size and its hash, so they are not said twice."""
    if len(parts) == 1:
        return f'"parts":[[{numbers[id(parts[0].pack)]},{parts[0].offset}]],'
    said = ",".join(
        f'[{numbers[id(part.pack)]},{part.offset},{part.length},"{part.sha256}"]' for part in parts
    )
    return f'"parts":[{said}],'


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
        kind = document["kind"]
        is_file = kind == "file"
        return Entry(
            cast("Root", _text(document, "root")),
            bytes_of(_text(document, "path")),
            kind,
            _number(document, "mode"),
            _number(document, "mtime_ns"),
            _number(document, "size") if is_file else 0,
            _text(document, "sha256") if is_file else "",
            bytes_of(_text(document, "target")) if kind == "symlink" else b"",
            _number(document, "ctime_ns") if is_file else 0,
            _parts_in(document, packs) if "parts" in fields else None,
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
    if len(told) == 1:
        pack, offset = _place_in(told[0], _ONLY_PART_FIELDS, packs)
        return (Part(pack, offset, _number(document, "size"), _text(document, "sha256")),)
    return tuple([_part_in(part, packs) for part in told])


def _part_in(told: Any, packs: Sequence[Pack]) -> Part:
    pack, offset = _place_in(told, _PART_FIELDS, packs)
    length, sha256 = told[2], told[3]
    if type(length) is not int or not isinstance(sha256, str):
        raise ManifestError("parts: not a whole number, or not a hash")
    return Part(pack, offset, length, sha256)


def _place_in(told: Any, fields: int, packs: Sequence[Pack]) -> tuple[Pack, int]:
    if not isinstance(told, list) or len(told) != fields:
        raise ManifestError("parts: neither two fields of one nor four of several")
    number, offset = told[0], told[1]
    if type(number) is not int or type(offset) is not int:
        raise ManifestError("parts: not a whole number")
    if not 0 <= number < len(packs):
        raise ManifestError("parts: a pack that is not there")
    return packs[number], offset


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
