"""A recovery point made ready to be committed, in one piece of work for a worker thread."""

from dataclasses import dataclass, replace

from hakoiri.host.files.keys import keys_of_bytes
from hakoiri.host.files.manifest import Manifest
from hakoiri.host.files.manifest_store import ManifestStore, Spelled
from hakoiri.host.files.plan import Plan
from hakoiri.host.files.points import PointReason
from hakoiri.host.files.ports import Named, WorkspaceHead
from hakoiri.host.files.save_report import SaveReport, save_report
from hakoiri.host.files.saved_state import is_needless, saved_entries
from hakoiri.host.files.upload import Uploaded


@dataclass(frozen=True, slots=True)
class Origin:
    """What a recovery point follows on, and why it is made.

    `previous` is the manifest before, if there is one that could be read. `lost` are keys that it
    names and that left the store since, `mark` is the collection's when the work began.
    """

    tenant: str
    previous: Manifest | None
    reason: PointReason
    mark: int
    lost: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PreparedPoint:
    """All that a commit writes and tells, once what the manifest names is stored."""

    spelled: Spelled
    head: WorkspaceHead
    named: Named


def prepare_point(manifest: Manifest, origin: Origin, manifests: ManifestStore) -> PreparedPoint:
    """Spell a manifest out, and tell what it names; `ManifestError` if no reader would take it."""
    spelled = manifests.spell(origin.tenant, manifest)
    keys = keys_of_bytes(origin.tenant, manifest)
    there = keys
    if origin.previous is None:
        there = frozenset()
    elif origin.previous.entries is not manifest.entries:
        there = keys_of_bytes(origin.tenant, origin.previous)
    named = Named(
        keys=keys | {spelled.key},
        written=(keys - (there - origin.lost)) | {spelled.key},
        mark=origin.mark,
    )
    head = WorkspaceHead(
        spelled.recovery_point,
        manifest.generation,
        manifest.event_number,
        manifest.as_point(origin.reason),
    )
    return PreparedPoint(spelled, head, named)


def prepare_save(
    draft: Manifest,
    plan: Plan,
    uploaded: Uploaded,
    left_out: list[str],
    *,
    origin: Origin,
    manifests: ManifestStore,
) -> tuple[PreparedPoint | None, SaveReport]:
    """Put a save together: `draft` has all but the entries.

    Returns what there is to commit, None if the recovery point before says it all, and the report
    of the save once that is done.
    """
    previous = origin.previous
    known = previous.entries if previous else ()
    manifest = replace(draft, entries=saved_entries(known, plan, uploaded))
    if previous is not None and draft.parent and is_needless(previous, manifest, origin.reason):
        return None, save_report(draft.parent, known, manifest, uploaded, left_out)
    point = prepare_point(manifest, origin, manifests)
    made = point.spelled.recovery_point
    return point, save_report(made, known, manifest, uploaded, left_out)
