"""What a recovery point is put together from, and what is looked up in one. Pure."""

from dataclasses import replace
from operator import is_

from hakoiri.host.files.manifest import Entry, Manifest
from hakoiri.host.files.plan import Plan, in_order
from hakoiri.host.files.points import PointReason
from hakoiri.host.files.ports import NoSuchFileError
from hakoiri.host.files.scan import CHANGING
from hakoiri.host.files.upload import Uploaded


def saved_entries(known: tuple[Entry, ...], plan: Plan, uploaded: Uploaded) -> tuple[Entry, ...]:
    """Put a recovery point together, in order; what kept changing stays as last saved.

    Where nothing differs it is `known` itself, so that nobody has to compare it entry by entry.
    """
    if not plan.upload and len(plan.keep) == len(known) and all(map(is_, plan.keep, known)):
        return known
    changing = {found.place for found, left in uploaded.left_out if left.reason == CHANGING}
    kept_back = [
        entry
        for entry in (known if changing else ())
        if entry.kind == "file" and entry.place in changing
    ]
    return in_order([*plan.keep, *uploaded.entries, *kept_back])


def is_needless(previous: Manifest, manifest: Manifest, reason: PointReason) -> bool:
    """Whether the recovery point before says all that this one would.

    One that is made because the container goes is about files: for a higher event number alone it
    would push others out of the list.
    """
    if reason is PointReason.BEFORE_REMOVAL:
        manifest = replace(manifest, event_number=previous.event_number)
    return is_same_state(previous, manifest)


def is_same_state(previous: Manifest, manifest: Manifest) -> bool:
    """Whether a recovery point would say what the one before says, but for when."""
    return (
        previous.entries,
        previous.generation,
        previous.event_number,
        previous.session_id,
    ) == (manifest.entries, manifest.generation, manifest.event_number, manifest.session_id)


def file_at(manifest: Manifest | None, path: str) -> Entry:
    """Return the regular file at a path of `/workspace`; `NoSuchFileError`."""
    raw = path.encode("utf-8", "surrogateescape")
    for entry in manifest.entries if manifest else ():
        if entry.place == ("workspace", raw):
            if entry.kind != "file":
                raise NoSuchFileError(f"{path!r:.1000} is a {entry.kind}, not a file")
            return entry
    raise NoSuchFileError(f"the newest recovery point has no file {path!r:.1000}")
