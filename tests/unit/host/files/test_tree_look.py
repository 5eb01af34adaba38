from dataclasses import replace

from tests.unit.host.files.trees import File, Folder, build

from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.packs import WASTE_FROM_BYTES, Pack, Part
from hakoiri.host.files.plan import entry_of, in_order
from hakoiri.host.files.ports import LiveTree
from hakoiri.host.files.scan import ScanLimits, scan
from hakoiri.host.files.tree_look import Look, compare, look

MOSTLY_DEAD = Pack("d" * 64, "none", 10 * WASTE_FROM_BYTES, 10 * WASTE_FROM_BYTES)
LIVE = Pack("e" * 64, "none", 3, 3)


def known(tree: LiveTree, pack: Pack) -> tuple[Entry, ...]:
    """What a recovery point says of the tree, all of it in one pack."""
    seen = scan(tree, limits=ScanLimits(), monotonic=lambda: 0.0)
    entries: list[Entry] = []
    for found in seen.found:
        entry = entry_of(found)
        if found.kind == "file":
            sha256 = f"{len(entries):064x}"
            part = Part(pack, 0, found.size, sha256)
            entry = replace(entry, size=found.size, ctime_ns=found.ctime_ns, sha256=sha256)
            entry = replace(entry, parts=(part,))
        entries.append(entry)
    return in_order(entries)


def look_at(tree: LiveTree, entries: tuple[Entry, ...], **lost: frozenset[str]) -> Look:
    return look(tree, entries, limits=ScanLimits(), monotonic=lambda: 0.0, **lost)


def test_where_nothing_changed_all_is_kept_though_its_pack_is_wasteful(tree: LiveTree) -> None:
    build(tree.workspace, {b"d": Folder({b"f": File(b"abc")})})
    entries = known(tree, MOSTLY_DEAD)
    seen = look_at(tree, entries)
    assert (seen.plan.upload, seen.plan.keep, seen.plan.delete) == ((), entries, ())
    assert seen.stored.files == {}


def test_where_something_is_sent_what_lies_in_a_wasteful_pack_goes_too(tree: LiveTree) -> None:
    build(tree.workspace, {b"f": File(b"abc")})
    entries = known(tree, MOSTLY_DEAD)
    (tree.workspace / "new").write_bytes(b"x")
    seen = look_at(tree, entries)
    assert {found.path for found in seen.plan.upload} == {b"f", b"new"}
    assert seen.stored.files == {}


def test_where_something_is_sent_the_rest_is_known_to_be_stored(tree: LiveTree) -> None:
    build(tree.workspace, {b"f": File(b"abc")})
    entries = known(tree, LIVE)
    (tree.workspace / "new").write_bytes(b"x")
    seen = look_at(tree, entries)
    assert {found.path for found in seen.plan.upload} == {b"new"}
    assert seen.stored.files == {entries[0].sha256: entries[0].parts}


def test_what_lies_in_an_object_that_was_lost_is_read_anew(tree: LiveTree) -> None:
    build(tree.workspace, {b"f": File(b"abc")})
    entries = known(tree, LIVE)
    seen = look_at(tree, entries, lost=frozenset([LIVE.id]))
    assert {found.path for found in seen.plan.upload} == {b"f"}
    assert seen.stored.files == {}


def test_what_differs_is_told_without_what_would_only_be_packed_anew(tree: LiveTree) -> None:
    build(tree.workspace, {b"f": File(b"abc")})
    entries = known(tree, MOSTLY_DEAD)
    (tree.workspace / "new").write_bytes(b"x")
    _, plan = compare(tree, entries, limits=ScanLimits(), monotonic=lambda: 0.0)
    assert {found.path for found in plan.upload} == {b"new"}
