"""Points other than the newest: read and taken over without copying a byte."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.unit.host.files.trees import (
    NOON,
    File,
    Folder,
    build,
    describe,
    file_sync,
    make_live_tree,
)

from hakoiri.host.files.keys import manifest_key
from hakoiri.host.files.manifest_store import ManifestStore
from hakoiri.host.files.point_files import PointFiles, PointOf
from hakoiri.host.files.points import PointReason
from hakoiri.host.files.ports import DamagedError, LiveTree, NoSuchFileError
from hakoiri.host.files.testing import MemoryHeads, MemoryObjectStore

pytestmark = pytest.mark.anyio

LATER = NOON + timedelta(hours=1)


class Stored:
    """A workspace `ws` of the tenant `acme` with one saved point."""

    def __init__(self, tree: LiveTree) -> None:
        self.tree = tree
        self.store = MemoryObjectStore()
        self.heads = MemoryHeads()
        self.sync = file_sync(self.store, self.heads)
        self.files = PointFiles(
            store=self.store, manifests=self.sync.manifests, clock=lambda: LATER
        )

    async def save(self) -> PointOf:
        report = await self.sync.save(
            tenant="acme",
            workspace_id="ws",
            generation=3,
            event_number=12,
            tree=self.tree,
            session_id="5e55",
        )
        return PointOf("acme", "ws", report.recovery_point)


@pytest.fixture
def stored(tree: LiveTree) -> Stored:
    build(tree.workspace, {b"a": File(b"old"), b"d": Folder({b"large": File(b"x" * 3_000_000)})})
    return Stored(tree)


async def test_a_point_is_taken_over_by_another_workspace(stored: Stored, tmp_path: Path) -> None:
    source = await stored.save()
    before = dict(stored.store.objects)
    taken = await stored.files.take_over(
        source,
        workspace_id="fork",
        parent=None,
        generation=1,
        has_events=True,
        reason=PointReason.FORKED,
    )
    [added] = stored.store.objects.keys() - before.keys()
    assert added == manifest_key("acme", "fork", taken.head.recovery_point)
    assert len(stored.store.objects[added]) < 1000, "a list, and no file's bytes"
    assert (taken.session_id, taken.head.event_number, taken.head.generation) == ("5e55", 12, 1)
    point = taken.head.point
    assert point is not None
    assert (point.created, point.files, point.file_bytes) == (LATER, 2, 3_000_003)
    assert (point.parent, point.reason) == (None, PointReason.FORKED)
    await stored.heads.move_head("fork", taken.head)
    restored = make_live_tree(tmp_path / "restored")
    report = await stored.sync.restore(tenant="acme", workspace_id="fork", tree=restored)
    assert report is not None
    assert report.session_id == "5e55"
    assert describe(restored.workspace) == describe(stored.tree.workspace)


async def test_without_a_conversation_it_has_no_event(stored: Stored) -> None:
    taken = await stored.files.take_over(
        await stored.save(),
        workspace_id="fork",
        parent=None,
        generation=1,
        has_events=False,
        reason=PointReason.FORKED,
    )
    assert taken.head.event_number == 0


async def test_an_older_point_is_read_although_a_newer_one_is_at_hand(stored: Stored) -> None:
    old = await stored.save()
    (stored.tree.workspace / "a").write_bytes(b"new")
    (stored.tree.workspace / "b").write_bytes(b"new")
    new = await stored.save()
    told = await stored.files.difference(old, new, limit=9, beyond=None)
    assert [(change.path, change.change) for change in told.changes] == [
        (b"a", "content"),
        (b"b", "added"),
    ]
    for point, content in ((old, b"old"), (new, b"new")):
        file = await stored.files.file(point, b"a")
        assert b"".join([part async for part in stored.files.stream(point, file)]) == content
    with pytest.raises(NoSuchFileError):
        await stored.files.file(old, b"b")
    with pytest.raises(NoSuchFileError):
        await stored.files.file(old, b"d")


async def test_comparing_reads_no_file(stored: Stored) -> None:
    old = await stored.save()
    (stored.tree.workspace / "a").write_bytes(b"new")
    new = await stored.save()
    for key in [key for key in stored.store.objects if "/packs/" in key]:
        del stored.store.objects[key]
    assert (await stored.files.difference(old, new, limit=9, beyond=None)).changed == 1


async def test_the_manifest_of_another_tenant_or_workspace_is_not_found(stored: Stored) -> None:
    source = await stored.save()
    for foreign in (replace(source, tenant="other"), replace(source, workspace_id="other")):
        with pytest.raises(DamagedError, match="missing"):
            await stored.files.file(foreign, b"a")


async def test_what_is_damaged_is_not_taken_over(stored: Stored) -> None:
    source = await stored.save()
    key = manifest_key("acme", "ws", source.recovery_point)
    stored.store.objects[key] = stored.store.objects[key][:-1]
    fresh = PointFiles(
        store=stored.store, manifests=ManifestStore(stored.store), clock=lambda: LATER
    )
    with pytest.raises(DamagedError):
        await fresh.take_over(
            source,
            workspace_id="fork",
            parent=None,
            generation=1,
            has_events=False,
            reason=PointReason.FORKED,
        )
