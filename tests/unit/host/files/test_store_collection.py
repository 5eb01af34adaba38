"""Passes over a store in memory: what stays, what goes and when, and what a fault does."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.host.files.trees import NOON, describe, make_live_tree

from hakoiri.host.files import store_collection
from hakoiri.host.files.collection import ARCHIVE_PREFIX, CollectionRules, Listed
from hakoiri.host.files.collection_ports import CollectionReport
from hakoiri.host.files.keys import manifest_key
from hakoiri.host.files.ports import FilesError, LiveTree
from hakoiri.host.files.scan import ScanLimits
from hakoiri.host.files.store_collection import StoreCollection
from hakoiri.host.files.sync import FileSync
from hakoiri.host.files.testing import MemoryHeads, MemoryObjectStore

pytestmark = pytest.mark.anyio

GRACE = timedelta(hours=24)
RULES = CollectionRules(grace=GRACE, archive_age=timedelta(days=30))


class Told:
    def __init__(self) -> None:
        self.reports: list[CollectionReport] = []
        self.reasons: list[str] = []

    def collected(self, report: CollectionReport) -> None:
        self.reports.append(report)

    def failed(self, reason: str) -> None:
        self.reasons.append(reason)


class ScriptedLists:
    """Lists that let as many go as they are told to."""

    def __init__(self) -> None:
        self.due: dict[str, int] = {}
        self.asked: list[datetime] = []

    async def overfull(self, tenant: str, *, now: datetime) -> Sequence[str]:
        self.asked.append(now)
        return [*self.due] if tenant == "acme" else []

    async def drop_expired(self, workspace_id: str, *, now: datetime) -> int:
        return self.due.pop(workspace_id)


class World:
    """A store, heads and a collection on one clock that stands until it is moved."""

    def __init__(self, tmp_path: Path, store: MemoryObjectStore | None = None) -> None:
        self.time = NOON
        self.store = store or MemoryObjectStore(self.now)
        self.heads = MemoryHeads()
        self.lists = ScriptedLists()
        self.told = Told()
        self.tree = make_live_tree(tmp_path / "live")
        self.tmp_path = tmp_path
        self.sync = FileSync(
            store=self.store, heads=self.heads, limits=ScanLimits(), clock=self.now, wall_ns=self.ns
        )
        self.collection = self.other_collection()
        self.pauses: list[float] = []

    def other_collection(self, *, interval_s: float | None = 600.0) -> StoreCollection:
        return StoreCollection(
            store=self.store,
            live=self.heads,
            lists=self.lists,
            ledger=self.heads.ledger,
            rules=RULES,
            interval_s=interval_s,
            clock=self.now,
            tell=self.told,
            sleep=self.sleep,
        )

    async def sleep(self, seconds: float) -> None:
        if seconds > 1:
            self.pauses.append(seconds)
            if len(self.pauses) > 3:
                raise asyncio.CancelledError

    def now(self) -> datetime:
        return self.time

    def ns(self) -> int:
        return int(self.time.timestamp() * 1e9) * 2

    def later(self, *, hours: float) -> None:
        self.time += timedelta(hours=hours)

    async def save(self, content: bytes, workspace_id: str = "ws") -> str:
        (self.tree.workspace / "f").write_bytes(content)
        report = await self.sync.save(
            tenant="acme",
            workspace_id=workspace_id,
            generation=1,
            event_number=1,
            tree=self.tree,
            session_id=None,
        )
        return report.recovery_point

    async def restored(self, name: str) -> LiveTree:
        back = make_live_tree(self.tmp_path / name)
        await self.sync.restore(tenant="acme", workspace_id="ws", tree=back)
        return back

    def kept(self) -> set[str]:
        return {key for key in self.store.objects if not key.startswith(ARCHIVE_PREFIX)}

    def archived(self) -> set[str]:
        return {key.removeprefix(ARCHIVE_PREFIX) for key in self.store.objects} - self.kept()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_what_the_head_left_behind_goes_after_two_graces_and_two_looks(world: World) -> None:
    await world.save(b"old")
    old = world.kept()
    await world.save(b"new")
    live = world.kept() - old
    for _ in range(3):  # young
        await world.collection.collect()
    world.later(hours=25)
    report = await world.collection.collect()
    assert (report.waiting.objects, report.left.objects) == (2, 0)
    world.later(hours=23)
    assert (await world.collection.collect()).left.objects == 0
    world.later(hours=2)
    report = await world.collection.collect()
    assert report.left.objects == 2
    assert (world.kept(), world.archived()) == (live, old)
    assert describe((await world.restored("back")).workspace) == describe(world.tree.workspace)
    world.later(hours=24 * 29)
    assert (await world.collection.collect()).deleted.objects == 0
    world.later(hours=24 * 2)
    report = await world.collection.collect()
    assert (report.deleted.objects, report.archived.objects) == (2, 0)
    assert world.archived() == set()


async def test_lists_are_kept_to_their_bounds_first_and_by_no_dry_run(world: World) -> None:
    await world.save(b"1")
    world.lists.due = {"ws": 3, "old": 2}
    assert (await world.collection.collect(is_dry=True)).expired_points == 0
    assert world.lists.asked == []
    assert (await world.collection.collect()).expired_points == 5
    assert (await world.collection.collect()).expired_points == 0
    assert world.lists.asked == [NOON, NOON]


async def test_an_old_pack_that_a_new_head_names_stays(world: World) -> None:
    (world.tree.workspace / "big").write_bytes(b"x" * 300_000)
    await world.save(b"1")
    packs = {key for key in world.kept() if "/packs/" in key}
    for number in range(20):
        world.later(hours=48)
        await world.save(b"%d" % number)
        await world.collection.collect()
    assert len(packs & world.kept()) == 1
    assert describe((await world.restored("back")).workspace) == describe(world.tree.workspace)


async def test_a_workspace_that_was_forgotten_goes_too(world: World) -> None:
    await world.save(b"1")
    world.heads.heads.clear()
    for _ in range(3):
        world.later(hours=25)
        await world.collection.collect()
    assert world.kept() == set()


async def test_the_same_bytes_of_another_tenant_are_others(world: World) -> None:
    await world.save(b"same")
    mine = world.kept()
    world.heads.tenants["w2"] = "other"
    await world.sync.save(
        tenant="other",
        workspace_id="w2",
        generation=1,
        event_number=1,
        tree=world.tree,
        session_id=None,
    )
    theirs = world.kept() - mine
    ids = [{key.rpartition("/")[2] for key in keys if "/packs/" in key} for keys in (mine, theirs)]
    assert ids[0] == ids[1]
    del world.heads.heads["ws"]
    for _ in range(3):
        world.later(hours=25)
        await world.collection.collect()
    assert world.kept() == theirs


async def test_a_dry_run_tells_and_changes_nothing(world: World) -> None:
    await world.save(b"1")
    await world.save(b"2")
    world.later(hours=25)
    before = dict(world.store.objects)
    report = await world.collection.collect(is_dry=True)
    assert (report.is_dry, report.waiting.objects, report.live.objects) == (True, 2, 2)
    assert (world.store.objects, world.heads.ledger.rows) == (before, {})
    assert (world.collection.last, world.told.reports) == (None, [])
    await world.collection.collect()
    world.later(hours=25)
    assert (await world.collection.collect(is_dry=True)).left.objects == 2
    assert world.store.objects == before


async def test_a_head_that_cannot_be_read_keeps_all_of_its_tenant(world: World) -> None:
    await world.save(b"1")
    point = await world.save(b"2")
    await world.sync.save(
        tenant="other",
        workspace_id="w2",
        generation=1,
        event_number=1,
        tree=world.tree,
        session_id=None,
    )
    world.heads.tenants["w2"] = "other"
    key = manifest_key("acme", "ws", point)
    whole, world.store.objects[key] = world.store.objects[key], b"torn"
    kept = world.kept()
    for _ in range(4):
        world.later(hours=25)
        report = await world.collection.collect()
        assert "tenant acme: recovery point" in report.failures[0]
        assert report.recovery_points == 1
    assert world.kept() == kept
    world.store.objects[key] = whole
    for _ in range(3):
        world.later(hours=25)
        assert (await world.collection.collect()).failures == []
    assert len(kept - world.kept()) == 2


async def test_a_live_object_that_lies_in_the_archive_is_brought_back(world: World) -> None:
    await world.save(b"1")
    kept = world.kept()
    pack = next(key for key in kept if "/packs/" in key)
    await world.store.archive(pack)
    report = await world.collection.collect()
    assert (report.missing, report.brought_back) == (0, 1)
    assert world.kept() == kept
    del world.store.objects[pack], world.store.objects[ARCHIVE_PREFIX + pack]
    assert (await world.collection.collect()).missing == 1


async def test_dead_bytes_of_live_packs_are_measured(world: World) -> None:
    for name, size in (("a", 30_000), ("b", 60_000)):
        (world.tree.workspace / name).write_bytes(os.urandom(size))
    await world.save(b"1")
    assert (await world.collection.collect()).wasted_bytes == 0
    (world.tree.workspace / "a").write_bytes(b"other")
    world.later(hours=1)
    await world.save(b"1")
    assert 29_000 < (await world.collection.collect()).wasted_bytes < 31_000


class Refusing(MemoryObjectStore):
    """Lets nothing go, or only so many."""

    left = 0
    may_check = True

    async def archive(self, key: str) -> None:
        if self.left == 0:
            raise FilesError("403 Forbidden")
        self.left -= 1
        await super().archive(key)

    async def check_removal(self) -> None:
        if not self.may_check:
            raise FilesError("403 Forbidden")


async def test_without_the_right_to_delete_nothing_is_even_condemned(tmp_path: Path) -> None:
    world = World(tmp_path, Refusing())
    await world.save(b"1")
    world.heads.heads.clear()
    world.store.may_check = False  # type: ignore[attr-defined]
    world.later(hours=25)
    with pytest.raises(FilesError, match="403"):
        await world.collection.collect()
    assert world.heads.ledger.rows == {}


async def test_what_was_leaving_in_a_fault_is_finished_first(tmp_path: Path) -> None:
    store = Refusing(lambda: NOON)
    world = World(tmp_path, store)
    await world.save(b"1")
    world.heads.heads.clear()
    store.left = 1
    for _ in range(2):
        world.later(hours=25)
        report = await world.collection.collect()
    assert report.failures == ["tenant acme: 403 Forbidden"]
    assert {row.state for row in world.heads.ledger.rows.values()} == {"leaving"}
    store.left = 9
    off = world.other_collection(interval_s=None)
    await off.run()  # even where it is off
    assert (len(world.kept()), {r.state for r in world.heads.ledger.rows.values()}) == (0, {"gone"})


async def test_after_a_failure_it_comes_again_sooner(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.collection = world.other_collection(interval_s=9999.0)
    world.heads.ledger.leaving = _failing  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await world.collection.run()
    assert world.pauses == [300.0] * 4
    assert len(world.told.reasons) == 4


async def test_where_all_is_well_it_comes_at_its_interval(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.collection = world.other_collection(interval_s=9999.0)
    with pytest.raises(asyncio.CancelledError):
        await world.collection.run()
    assert world.pauses == [300.0, 9999.0, 9999.0, 9999.0]
    assert world.collection.last == world.told.reports[-1]


async def _failing() -> Sequence[str]:
    raise FilesError("the database does not answer")


async def test_a_note_on_what_is_no_longer_there_is_forgotten(world: World) -> None:
    await world.save(b"1")
    await world.save(b"2")
    world.later(hours=25)
    await world.collection.collect()
    key = next(iter(world.heads.ledger.rows))
    del world.store.objects[key]
    await world.collection.collect()
    assert key not in world.heads.ledger.rows


async def test_who_was_gone_is_forgotten_after_the_longest_save(world: World) -> None:
    await world.save(b"1")
    await world.save(b"2")
    for hours in (25, 25, 23):
        world.later(hours=hours)
        await world.collection.collect()
    assert len(world.heads.ledger.rows) == 2
    world.later(hours=2)
    await world.collection.collect()
    assert world.heads.ledger.rows == {}


async def test_the_ledger_and_each_step_are_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_collection, "CONDEMNED_PER_PASS", 3)
    monkeypatch.setattr(store_collection, "LEAVING_PER_STEP", 2)
    most_leaving = 0

    class Watching(MemoryObjectStore):
        async def archive(self, key: str) -> None:
            nonlocal most_leaving
            rows = world.heads.ledger.rows.values()
            most_leaving = max(most_leaving, sum(row.state == "leaving" for row in rows))
            await super().archive(key)

    world.store.__class__ = Watching
    for number in range(8):
        await world.save(b"%d" % number)
    for _ in range(12):
        world.later(hours=25)
        await world.collection.collect()
        rows = world.heads.ledger.rows.values()
        assert sum(row.state == "condemned" for row in rows) <= 3
    assert len(world.kept()) == 2
    assert most_leaving == 2


async def test_a_save_in_two_minds_about_a_pack_stores_it_again(world: World) -> None:
    """The pack of an old state goes while a save writes the same bytes."""
    await world.save(b"old")
    old = world.kept()
    await world.save(b"new")
    world.later(hours=25)
    await world.collection.collect()
    world.later(hours=25)
    seen: list[str] = []

    class Overtaken(MemoryObjectStore):
        async def put(self, key: str, data: bytes) -> None:
            await super().put(key, data)
            if key in old and "/packs/" in key and not seen:
                seen.append(key)
                self.modified[key] = NOON  # as a listing from before would have it
                await world.collection.collect()

    world.store.__class__ = Overtaken
    await world.save(b"old")
    assert seen
    assert seen[0] in world.kept()
    assert (await world.restored("back")).workspace.joinpath("f").read_bytes() == b"old"


async def test_pages_of_the_listing_are_each_a_step(world: World) -> None:
    for number in range(4):
        await world.save(b"%d" % number)
    report = CollectionReport(started=world.now())
    steps = [None async for _ in world.collection.steps(report)]
    assert len(steps) >= 8 // 3 + 3


class Foreign(MemoryObjectStore):
    async def pages(self, prefix: str) -> AsyncIterator[Sequence[Listed]]:
        if prefix == "tenants/acme":
            yield [Listed("tenants/acme/notes/x", 7, NOON)]
        async for page in super().pages(prefix):
            yield page


async def test_what_is_not_ours_is_told_and_left(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.save(b"1")
    world.store.__class__ = Foreign
    world.later(hours=99)
    report = await world.collection.collect()
    assert (report.foreign.objects, report.foreign.size_bytes) == (1, 7)
    assert world.heads.ledger.rows == {}
