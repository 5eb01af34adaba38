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
    begins, ends = encoded.find(_LIST_BEGINS), encoded.rfind(_LIST_ENDS)
    if begins < 0 or ends < begins:
        raise ManifestError("the manifest has no list of entries")
    begins += len(_LIST_BEGINS)
    document = _without_list(encoded[:begins] + encoded[ends:])
    if document.get("version") != FORMAT_VERSION:
        return _copy_of_older(encoded, head)
    event_number = document["event_number"] if head.has_events else 0
    _check(head, event_number)
    document |= {
        "workspace": head.workspace_id,
        "parent": head.parent,
        "generation": head.generation,
        "event_number": event_number,
        "created": manifest_time(head.created),
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    before, _, after = text.encode().partition(_LIST)
    whole = b"".join((before, _LIST, encoded[begins:ends], after, b"\n"))
    return Copied(whole, event_number, document["session_id"])


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


def _check(head: NewHead, event_number: int) -> None:
    """Refuse a head that no reader would take."""
    check_manifest(
        Manifest(
            workspace_id=head.workspace_id,
            parent=head.parent,
            generation=head.generation,
            event_number=event_number,
            session_id=None,
            created=head.created,
            entries=(),
        )
    )
