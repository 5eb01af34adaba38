"""One page of the audit log for an `AuditQuery`: all chains together, the newest line first."""

import heapq
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hakoiri.audit.backwards import lines_backwards
from hakoiri.audit.chain import ChainError, sequence_of
from hakoiri.audit.query import AuditQuery, CursorSeal
from hakoiri.audit.search import parse_line

SCAN_LIMIT_BYTES: Final = 16 * 1024 * 1024
"""Read for one page; a page that needs more ends early and says where to go on."""

ANSWER_LIMIT_BYTES: Final = 1024 * 1024
_HIDDEN_FROM_TENANTS: Final = "previous_hash"


@dataclass(frozen=True, slots=True)
class Page:
    """Lines that fit, and where the next page begins; None where there is nothing more."""

    events: list[dict[str, Any]]
    next: str | None


@dataclass(frozen=True, slots=True)
class _Found:
    chain: str
    sequence: int
    time_ms: int
    document: dict[str, Any]
    raw: bytes


def find_page(chains: Mapping[str, Path], query: AuditQuery, *, seal: CursorSeal) -> Page:
    """Return a page. Raises `BadCursorError`, `AuditFilesError`, `ChainError`."""
    wanted = query.wanted()
    below = seal.open(query.before, tenant=query.tenant) if query.before is not None else {}
    streams = [
        _stream(name, directory, below.get(name))
        for name, directory in chains.items()
        if directory.is_dir()
    ]
    events: list[dict[str, Any]] = []
    scanned_bytes = answer_bytes = 0
    for found in heapq.merge(*streams, key=lambda one: -one.time_ms):
        if query.since_ms is not None and found.time_ms < query.since_ms:
            return Page(events, None)
        below[found.chain] = found.sequence
        scanned_bytes += len(found.raw)
        if wanted.fits(found.document, found.raw):
            shown = _shown(found.document, tenant=query.tenant)
            if _holds(shown, query):
                events.append(shown)
            answer_bytes += len(found.raw)
        if (
            len(events) >= query.limit
            or scanned_bytes >= SCAN_LIMIT_BYTES
            or answer_bytes >= ANSWER_LIMIT_BYTES
        ):
            return Page(events, seal.seal(below, tenant=query.tenant))
    return Page(events, None)


def _stream(chain: str, directory: Path, below: int | None) -> Iterator[_Found]:
    """Yield a chain's lines; one that is not in our form is passed over: `verify` tells of it."""
    for raw in lines_backwards(directory, below=below):
        try:
            document = parse_line(raw)
            yield _Found(chain, sequence_of(raw), document["time"], document, raw)
        except ChainError:
            continue


def _holds(shown: dict[str, Any], query: AuditQuery) -> bool:
    """Whether the text is in what is shown: what is hidden is not to be guessed at."""
    if query.text is None or query.tenant is None:
        return True
    return query.text.encode() in _encoded(shown)


def _shown(document: dict[str, Any], *, tenant: str | None) -> dict[str, Any]:
    """Return a line as it may be shown: how much others do is not a tenant's affair."""
    if tenant is None:
        return document
    metadata = {key: value for key, value in document["metadata"].items() if key != "sequence"}
    told = {
        key: value for key, value in document["unmapped"].items() if key != _HIDDEN_FROM_TENANTS
    }
    return document | {"metadata": metadata, "unmapped": told}


def answer_of(page: Page) -> bytes:
    """Return the page as one line of JSON."""
    return _encoded({"events": page.events, "next": page.next}) + b"\n"


def _encoded(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=True, separators=(",", ":")).encode("ascii")
