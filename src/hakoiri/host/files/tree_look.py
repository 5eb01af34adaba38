"""A live tree compared with the last recovery point: what was seen, and what a save has to do."""

from collections.abc import Callable
from dataclasses import dataclass

from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.packs import Known, known_of, wasteful_objects
from hakoiri.host.files.plan import Plan, Scan, make_plan
from hakoiri.host.files.ports import LiveTree
from hakoiri.host.files.scan import ScanLimits, scan


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen, what is to be done, and which bytes are certainly in the store."""

    scan: Scan
    plan: Plan
    stored: Known


def compare(
    tree: LiveTree,
    known: tuple[Entry, ...],
    *,
    limits: ScanLimits,
    monotonic: Callable[[], float],
    lost: frozenset[str] = frozenset(),
) -> tuple[Scan, Plan]:
    """Scan a tree of which the entries `known` were saved, and plan what differs.

    What lies in the objects `lost` counts as changed. For a worker thread, as what follows.
    """
    scanned = scan(tree, limits=limits, monotonic=monotonic, known=known)
    return scanned, make_plan(known, scanned, without=lost)


def look(
    tree: LiveTree,
    known: tuple[Entry, ...],
    *,
    limits: ScanLimits,
    monotonic: Callable[[], float],
    lost: frozenset[str] = frozenset(),
) -> Look:
    """Scan, and plan what to save.

    Where something is sent anyway, what lies in packs that are not worth their place goes too.
    """
    scanned, plan = compare(tree, known, limits=limits, monotonic=monotonic, lost=lost)
    if not plan.upload:
        return Look(scanned, plan, Known())
    wasteful = wasteful_objects(plan.keep) | lost
    if wasteful:
        plan = make_plan(known, scanned, without=wasteful)
    return Look(scanned, plan, known_of(known, without=wasteful))
