"""A manifest's list of entries under another head, without reading the list. Pure.

A list of a hundred thousand entries takes seconds to parse and to write; a fork or a restore
changes none of them. In the canonical form all that stands before and after the list is short, and
a name cannot forge where the list ends: inside of a JSON string every quotation mark is escaped.
"""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from hakoiri.host.files.manifest import Manifest, ManifestError, check_manifest
from hakoiri.host.files.manifest_format import (
    FORMAT_VERSION,
    encode_manifest,
    in_limit,
    manifest_time,
    parse_manifest,
)

_LIST: Final = b'"entries":['
_LIST_BEGINS: Final = b"," + _LIST
_LIST_ENDS: Final = b'],"event_number":'


@dataclass(frozen=True, slots=True)
class NewHead:
    """What the copy says instead; without `has_events` its event number is 0."""

    workspace_id: str
    parent: str | None
    generation: int
    created: datetime
    has_events: bool


@dataclass(frozen=True, slots=True)
class Copied:
    """The copy in canonical bytes, and what it has from the original."""

    encoded: bytes
    event_number: int
    session_id: str | None


def copy_under(encoded: bytes, head: NewHead) -> Copied:
    """Return the manifest with another head; `ManifestError` if it is none, or the head is not one.

    `encoded` are the bytes of a stored manifest whose hash was checked: what its list holds was
    checked when it was written, and is again when it is read.
    """
    begins, ends = _list_in(encoded)
    document = _without_list(encoded[:begins] + encoded[ends:])
    if document.get("version") != FORMAT_VERSION:
        return _copy_of_older(encoded, head)
    event_number = document["event_number"] if head.has_events else 0
    manifest = Manifest(
        workspace_id=head.workspace_id,
        parent=head.parent,
        generation=head.generation,
        event_number=event_number,
        session_id=document["session_id"],
        created=head.created,
        entries=(),
    )
    whole = _spelled(manifest, document, encoded[begins:ends])
    return Copied(whole, event_number, manifest.session_id)


def respelled(encoded: bytes, manifest: Manifest) -> bytes:
    """Return the canonical bytes of a manifest whose entries are those that `encoded` lists.

    `encoded` is of the newest version. `ManifestError` as `encode_manifest`, of all but the
    entries: those were checked when `encoded` was written.
    """
    begins, ends = _list_in(encoded)
    document = _without_list(encoded[:begins] + encoded[ends:])
    return _spelled(manifest, document, encoded[begins:ends])


def _list_in(encoded: bytes) -> tuple[int, int]:
    """Return where the list of entries begins and ends, without its brackets."""
    begins, ends = encoded.find(_LIST_BEGINS), encoded.rfind(_LIST_ENDS)
    if begins < 0 or ends < begins:
        raise ManifestError("the manifest has no list of entries")
    return begins + len(_LIST_BEGINS), ends


def _spelled(manifest: Manifest, document: dict[str, Any], entries: bytes) -> bytes:
    """Put a list of entries under the head of `manifest`; packs stay those of `document`."""
    check_manifest(replace(manifest, entries=()))
    document |= {
        "workspace": manifest.workspace_id,
        "parent": manifest.parent,
        "generation": manifest.generation,
        "event_number": manifest.event_number,
        "session_id": manifest.session_id,
        "created": manifest_time(manifest.created),
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    before, _, after = text.encode().partition(_LIST)
    return in_limit(b"".join((before, _LIST, entries, after, b"\n")))


def _without_list(encoded: bytes) -> dict[str, Any]:
    try:
        document = json.loads(encoded)
    except ValueError as error:
        raise ManifestError(f"the manifest is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("entries") != []:
        raise ManifestError("the manifest is not in canonical form")
    return document


def _copy_of_older(encoded: bytes, head: NewHead) -> Copied:
    """Copy one of an older version, whose list is written in another way."""
    manifest = parse_manifest(encoded)
    copied = replace(
        manifest,
        workspace_id=head.workspace_id,
        parent=head.parent,
        generation=head.generation,
        event_number=manifest.event_number if head.has_events else 0,
        created=head.created,
    )
    return Copied(encode_manifest(copied), copied.event_number, copied.session_id)
