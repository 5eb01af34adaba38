"""What a save tells of itself. Pure."""

from dataclasses import dataclass

from hakoiri.host.files.manifest import Entry, Manifest
from hakoiri.host.files.plan import places_of
from hakoiri.host.files.upload import Uploaded


@dataclass(frozen=True, slots=True)
class SaveReport:
    """What a save committed.

    `uploaded` files were sent (`uploaded_bytes`), `kept` files were in the store already,
    `deleted` paths are no longer there. `left_out` has a printable line for each path that is not
    as it is in the tree, bounded, the last line telling how many more.
    """

    recovery_point: str
    uploaded: int
    uploaded_bytes: int
    deleted: int
    kept: int
    left_out: list[str]


def save_report(
    recovery_point: str,
    known: tuple[Entry, ...],
    manifest: Manifest,
    uploaded: Uploaded,
    left_out: list[str],
) -> SaveReport:
    """Return what a save committed, as counts."""
    files = sum([entry.kind == "file" for entry in manifest.entries])
    return SaveReport(
        recovery_point=recovery_point,
        uploaded=uploaded.stored,
        uploaded_bytes=uploaded.stored_bytes,
        deleted=_deleted(known, manifest.entries),
        kept=files - uploaded.stored,
        left_out=left_out,
    )


def _deleted(known: tuple[Entry, ...], now: tuple[Entry, ...]) -> int:
    """Count the paths that are no longer there."""
    if known is now:
        return 0
    # What is the very same entry is at the same path, and most are: only the rest is compared.
    same = set(map(id, known)).intersection(map(id, now))
    before = [entry for entry in known if id(entry) not in same]
    after = [entry for entry in now if id(entry) not in same]
    return len(places_of(before) - places_of(after))
