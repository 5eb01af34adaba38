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
        deleted=len(places_of(known) - places_of(manifest.entries)),
        kept=files - uploaded.stored,
        left_out=left_out,
    )
