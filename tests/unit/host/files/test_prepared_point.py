from dataclasses import replace

import pytest
from tests.unit.host.files.trees import NOON

from hakoiri.host.files.keys import manifest_key, pack_key
from hakoiri.host.files.manifest import Entry, Manifest, ManifestError
from hakoiri.host.files.manifest_store import ManifestStore
from hakoiri.host.files.packs import Pack, Part
from hakoiri.host.files.plan import Found, Plan
from hakoiri.host.files.points import NewPoint, PointReason
from hakoiri.host.files.ports import WorkspaceHead
from hakoiri.host.files.prepared_point import Origin, prepare_point, prepare_save
from hakoiri.host.files.testing import MemoryObjectStore
from hakoiri.host.files.upload import Uploaded

PARENT = "rp-" + "1" * 32


def file(path: bytes, pack: str) -> Entry:
    digest = path.hex().zfill(64)
    part = Part(Pack(pack * 64, "none", 3, 3), 0, 3, digest)
    return Entry("workspace", path, "file", 0o644, 5, 3, digest, ctime_ns=7, parts=(part,))


A, B = file(b"a", "a"), file(b"b", "b")
BEFORE = Manifest("ws", None, 1, 7, "ab-cd", NOON, (A, B))
DRAFT = replace(BEFORE, parent=PARENT, entries=())
KEPT = Plan(upload=(), keep=(A, B), delete=())


def origin(previous: Manifest | None = BEFORE, lost: frozenset[str] = frozenset()) -> Origin:
    return Origin("acme", previous, PointReason.ON_DEMAND, 3, lost)


def manifests() -> ManifestStore:
    return ManifestStore(MemoryObjectStore())


def keys(*packs: str) -> frozenset[str]:
    return frozenset(pack_key("acme", pack * 64) for pack in packs)


def test_what_is_new_was_written_and_what_was_named_before_was_there() -> None:
    manifest = replace(BEFORE, parent=PARENT, entries=(A, file(b"c", "c")))
    point = prepare_point(manifest, origin(), manifests())
    own = {manifest_key("acme", "ws", point.head.recovery_point)}
    assert point.named.keys == keys("a", "c") | own
    assert point.named.written == keys("c") | own
    assert point.named.mark == 3
    assert point.head == WorkspaceHead(point.spelled.recovery_point, 1, 7)
    assert point.head.point == NewPoint(NOON, PARENT, 2, 6, PointReason.ON_DEMAND)


def test_where_nothing_is_known_all_was_written() -> None:
    point = prepare_point(BEFORE, origin(None), manifests())
    assert point.named.written == point.named.keys > keys("a", "b")


def test_what_left_the_store_was_written_though_the_entries_are_the_same() -> None:
    same = replace(BEFORE, parent=PARENT)
    assert not prepare_point(same, origin(), manifests()).named.written & keys("a", "b")
    point = prepare_point(same, origin(lost=keys("a")), manifests())
    assert point.named.written & keys("a", "b") == keys("a")


def test_a_manifest_that_no_reader_would_take_is_not_prepared() -> None:
    with pytest.raises(ManifestError, match="generation"):
        prepare_point(replace(BEFORE, generation=0), origin(), manifests())


def test_the_same_state_is_no_new_recovery_point() -> None:
    made = manifests()
    point, report = prepare_save(DRAFT, KEPT, Uploaded(), [], origin=origin(), manifests=made)
    assert point is None
    assert (report.recovery_point, report.kept, report.deleted) == (PARENT, 2, 0)


@pytest.mark.parametrize("new", [{"event_number": 8}, {"generation": 2}, {"session_id": None}])
def test_the_same_files_at_another_moment_are_one(new: dict[str, int | None]) -> None:
    draft = replace(DRAFT, **new)  # type: ignore[arg-type]  # fields of the right type
    point, report = prepare_save(
        draft, KEPT, Uploaded(), ["told"], origin=origin(), manifests=manifests()
    )
    assert point is not None
    assert point.spelled.manifest.entries is BEFORE.entries
    assert report.recovery_point == point.head.recovery_point
    assert report.left_out == ["told"]


@pytest.mark.parametrize(
    ("new", "is_one"),
    [({"event_number": 8}, False), ({"generation": 2}, True), ({"session_id": None}, True)],
)
def test_before_a_removal_the_same_files_at_a_later_event_are_none(
    new: dict[str, int | None],
    is_one: bool,  # noqa: FBT001 - parametrized
) -> None:
    draft = replace(DRAFT, **new)  # type: ignore[arg-type]  # fields of the right type
    before_removal = replace(origin(), reason=PointReason.BEFORE_REMOVAL)
    point, report = prepare_save(
        draft, KEPT, Uploaded(), [], origin=before_removal, manifests=manifests()
    )
    assert (point is not None) == is_one
    assert is_one or report.recovery_point == PARENT


def test_other_files_are_one() -> None:
    plan = Plan(upload=(Found("workspace", b"c", "file", 0o644, 5, 7, 3),), keep=(A,), delete=(B,))
    uploaded = Uploaded(entries=[file(b"c", "c")], stored=1, stored_bytes=3)
    point, report = prepare_save(DRAFT, plan, uploaded, [], origin=origin(), manifests=manifests())
    assert point is not None
    assert [entry.path for entry in point.spelled.manifest.entries] == [b"a", b"c"]
    assert (report.uploaded, report.kept, report.deleted) == (1, 1, 1)
