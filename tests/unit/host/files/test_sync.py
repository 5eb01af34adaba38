import asyncio
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.host.files.trees import (
    NOON,
    File,
    Folder,
    Link,
    Node,
    a_second_later,
    build,
    children,
    describe,
    file_sync,
    make_live_tree,
)

from hakoiri.host.files import file_reader, manifest_store
from hakoiri.host.files.keys import blob_key, manifest_key
from hakoiri.host.files.manifest import Entry, recovery_point_of
from hakoiri.host.files.packs import SMALL_PACKS, Parts
from hakoiri.host.files.ports import (
    DamagedError,
    FilesError,
    LiveTree,
    Named,
    NoSpaceError,
    NoSuchFileError,
    StaleGenerationError,
    WorkspaceHead,
)
from hakoiri.host.files.save_report import SaveReport
from hakoiri.host.files.scan import ScanLimits
from hakoiri.host.files.stored_edit import with_file
from hakoiri.host.files.sync import LONGEST_SAVE_S, FileSync
from hakoiri.host.files.testing import MemoryHeads, MemoryObjectStore

pytestmark = pytest.mark.anyio

SESSION = "537df189-28c0-4c8c-8c61-8f1b931a6be3"


class CrashError(FilesError):
    """The store is gone from one write on."""


class CrashingStore(MemoryObjectStore):
    """Fails at the n-th write and ever after, as when the process dies there."""

    def __init__(self, objects: dict[str, bytes], *, writes: int) -> None:
        super().__init__()
        self.objects = dict(objects)
        self.writes = writes

    async def put(self, key: str, data: bytes) -> None:
        self._spend()
        await super().put(key, data)

    def _spend(self) -> None:
        if self.writes == 0:
            raise CrashError
        self.writes -= 1


async def save(
    sync: FileSync,
    tree: LiveTree,
    *,
    event_number: int = 1,
    generation: int = 1,
    workspace_id: str = "ws",
) -> SaveReport:
    return await sync.save(
        tenant="acme",
        workspace_id=workspace_id,
        generation=generation,
        event_number=event_number,
        tree=tree,
        session_id=SESSION,
    )


async def restored(sync: FileSync, base: Path) -> LiveTree:
    tree = make_live_tree(base)
    assert await sync.restore(tenant="acme", workspace_id="ws", tree=tree) is not None
    return tree


def memory(memories: dict[bytes, Node]) -> dict[bytes, Node]:
    return {b".claude": Folder({b"projects": Folder(memories)})}


@given(children, children)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_any_tree_comes_back_exactly(
    workspace: dict[bytes, Node], memories: dict[bytes, Node]
) -> None:
    memories.pop(b".credentials.json", None)
    with tempfile.TemporaryDirectory() as base:
        tree = make_live_tree(Path(base) / "live")
        build(tree.workspace, workspace)
        build(tree.home, memory(memories))
        sync = file_sync(MemoryObjectStore(), MemoryHeads())
        report = await save(sync, tree)
        back = await restored(sync, Path(base) / "back")
        assert report.left_out == []
        assert describe(back.workspace) == describe(tree.workspace)
        assert describe(back.home) == describe(tree.home)


@given(children, children)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_any_edit_is_seen_by_the_next_save(
    before: dict[bytes, Node], after: dict[bytes, Node]
) -> None:
    with tempfile.TemporaryDirectory() as base:
        tree = make_live_tree(Path(base) / "live")
        build(tree.workspace, before)
        sync = file_sync(MemoryObjectStore(), MemoryHeads())
        await save(sync, tree)
        # Every mtime is the same before and after: only size, mode, kind and ctime can tell.
        os.rename(tree.workspace, Path(base) / "old")  # noqa: PTH104 - beside its siblings
        tree.workspace.mkdir()
        build(tree.workspace, before | after)
        await save(sync, tree, event_number=2)
        back = await restored(sync, Path(base) / "back")
        assert describe(back.workspace) == describe(tree.workspace)


@dataclass(frozen=True)
class Edit:
    """A change of files of a tree; `one` and `other` are places in the list of what there is."""

    does: Callable[[Path, Path, bytes], None]
    one: int
    other: int
    content: bytes

    def apply(self, root: Path) -> None:
        there = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
        if there:
            one, other = there[self.one % len(there)], there[self.other % len(there)]
            self.does(one, other, self.content)


def rewrite_unseen(one: Path, _: Path, content: bytes) -> None:
    """With as many bytes as before, and the mtime set back."""
    status = one.stat()
    one.write_bytes((content * status.st_size)[: status.st_size])
    os.utime(one, ns=(status.st_atime_ns, status.st_mtime_ns))


def write(one: Path, _: Path, content: bytes) -> None:
    one.write_bytes(content)


def set_mode(one: Path, _: Path, content: bytes) -> None:
    one.chmod(0o600 | content[0])


def move_over(one: Path, other: Path, _: bytes) -> None:
    """Of files with the same size and times, each tells only by its ctime which it is."""
    one.rename(other)


def swap(one: Path, other: Path, _: bytes) -> None:
    between = one.with_name("between")
    one.rename(between)
    if one != other:
        other.rename(one)
    between.rename(other)


def become_link(one: Path, other: Path, _: bytes) -> None:
    one.unlink()
    one.symlink_to(other)


def become_folder(one: Path, _: Path, content: bytes) -> None:
    one.unlink()
    one.mkdir()
    (one / "inside").write_bytes(content)


def remove(one: Path, _: Path, __: bytes) -> None:
    one.unlink()


edits = st.builds(
    Edit,
    st.sampled_from(
        [rewrite_unseen, write, set_mode, move_over, swap, become_link, become_folder, remove]
    ),
    st.integers(0, 7),
    st.integers(0, 7),
    st.binary(min_size=1, max_size=8),
)


def next_tick(base: Path) -> None:
    """Return when a change will have a later ctime than any before."""
    probe = base / "probe"
    probe.touch()
    before_ns = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns == before_ns:
        probe.chmod(0o600)


@pytest.mark.parametrize("wall_ns", [time.time_ns, a_second_later])
@given(children, st.lists(st.lists(edits, max_size=3), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_no_change_is_missed_however_soon_it_comes_and_whatever_it_hides(
    wall_ns: Callable[[], int], before: dict[bytes, Node], rounds: list[list[Edit]]
) -> None:
    """By the clock that stamps the files saves follow each other at once; else a tick later."""
    with tempfile.TemporaryDirectory() as base:
        tree = make_live_tree(Path(base) / "live")
        build(tree.workspace, before)
        sync = FileSync(
            store=MemoryObjectStore(),
            heads=MemoryHeads(),
            limits=ScanLimits(),
            clock=lambda: NOON,
            wall_ns=wall_ns,
        )
        await save(sync, tree)
        for number, round_of_edits in enumerate(rounds):
            if wall_ns is a_second_later:
                next_tick(Path(base))
            for edit in round_of_edits:
                edit.apply(tree.workspace)
            await save(sync, tree, event_number=number + 2)
            back = await restored(sync, Path(base) / f"back{number}")
            assert describe(back.workspace) == describe(tree.workspace)


@given(children, children, st.integers(0, 12))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_after_a_crash_at_any_write_the_head_is_the_old_or_the_new_recovery_point(
    before: dict[bytes, Node], after: dict[bytes, Node], writes: int
) -> None:
    with tempfile.TemporaryDirectory() as base:
        tree = make_live_tree(Path(base) / "live")
        build(tree.workspace, before)
        heads = MemoryHeads()
        store = MemoryObjectStore()
        await save(file_sync(store, heads), tree)
        old = describe(tree.workspace)
        os.rename(tree.workspace, Path(base) / "old")  # noqa: PTH104 - beside its siblings
        tree.workspace.mkdir()
        build(tree.workspace, after)
        new = describe(tree.workspace)

        crashing = CrashingStore(store.objects, writes=writes)
        is_committed = False
        with suppress(CrashError):
            await save(file_sync(crashing, heads), tree, event_number=2)
            is_committed = True

        back = await restored(file_sync(crashing, heads), Path(base) / "back")
        assert describe(back.workspace) == (new if is_committed else old)
        assert heads.heads["ws"].event_number == (2 if is_committed else 1)


@pytest.mark.parametrize("writes", range(5))
async def test_after_a_crash_at_any_write_of_a_large_file_it_is_the_old_or_the_new_one(
    tree: LiveTree, tmp_path: Path, writes: int
) -> None:
    """It has three packs; then comes the manifest."""
    old, new = os.urandom(10 * 1024 * 1024), os.urandom(12 * 1024 * 1024)
    path, heads, store = tree.workspace / "f", MemoryHeads(), MemoryObjectStore()
    path.write_bytes(old)
    await save(file_sync(store, heads), tree)
    path.write_bytes(new)
    crashing = CrashingStore(store.objects, writes=writes)
    with suppress(CrashError, ExceptionGroup):
        await save(file_sync(crashing, heads), tree, event_number=2)
    assert heads.heads["ws"].event_number == (2 if writes == 4 else 1)
    back = await restored(file_sync(crashing, heads), tmp_path / "back")
    assert (back.workspace / "f").read_bytes() == (new if writes == 4 else old)


async def test_a_fresh_workspace_has_nothing_to_restore(tree: LiveTree) -> None:
    sync = file_sync(MemoryObjectStore(), MemoryHeads())
    assert await sync.restore(tenant="acme", workspace_id="ws", tree=tree) is None
    assert await sync.manifest(tenant="acme", workspace_id="ws") is None


async def test_the_report_counts_what_was_done(tree: LiveTree) -> None:
    build(tree.workspace, {b"a": File(b"12"), b"b": File(b"345"), b"d": Folder({})})
    sync = file_sync(MemoryObjectStore(), MemoryHeads())
    first = await save(sync, tree)
    assert (first.uploaded, first.uploaded_bytes, first.kept, first.deleted) == (2, 5, 0, 0)

    (tree.workspace / "a").unlink()
    (tree.workspace / "c").write_bytes(b"6789")
    second = await save(sync, tree, event_number=2)
    assert (second.uploaded, second.uploaded_bytes, second.kept, second.deleted) == (1, 4, 1, 1)


async def test_an_unchanged_workspace_is_not_read_and_its_head_stays(
    tree: LiveTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tree.workspace, {b"a": File(b"12")})
    heads = MemoryHeads()
    sync = file_sync(MemoryObjectStore(), heads)
    first = await save(sync, tree)

    def read(descriptor: int, size: int) -> bytes:
        raise AssertionError("an unchanged file was read")

    monkeypatch.setattr(file_reader, "_read", read)
    again = await save(sync, tree)
    assert again.recovery_point == first.recovery_point
    assert (again.uploaded, again.kept) == (0, 1)


async def test_a_new_event_number_alone_is_a_new_recovery_point(tree: LiveTree) -> None:
    sync = file_sync(MemoryObjectStore(), MemoryHeads())
    first = await save(sync, tree)
    second = await save(sync, tree, event_number=2)
    manifest = await sync.manifest(tenant="acme", workspace_id="ws")
    assert manifest is not None
    assert second.recovery_point != first.recovery_point
    assert (manifest.parent, manifest.event_number) == (first.recovery_point, 2)


async def test_what_did_not_change_is_neither_compared_nor_spelled_out_again(
    tree: LiveTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tree.workspace, {b"d": Folder({b"f": File(b"x")}), b"l": Link(b"d")})
    build(tree.home, memory({b"s.jsonl": File(b"{}")}))
    store, heads = MemoryObjectStore(), MemoryHeads()
    sync = file_sync(store, heads)
    await save(sync, tree)
    first_point = heads.heads["ws"].recovery_point
    first = await sync.manifests.newest("acme", "ws", first_point)
    monkeypatch.setattr(manifest_store, "encode_manifest", None)
    report = await save(sync, tree, event_number=2)
    monkeypatch.undo()
    second = await sync.manifests.newest("acme", "ws", report.recovery_point)
    assert second.entries is first.entries
    assert (report.uploaded, report.kept, report.deleted) == (0, 2, 0)
    read = await file_sync(store, heads).manifest(tenant="acme", workspace_id="ws")
    assert read == second
    assert (second.event_number, second.parent) == (2, first_point)
    point = heads.heads["ws"].point
    assert point is not None
    assert (point.files, point.file_bytes) == (2, 3)


async def test_a_change_behind_a_forged_mtime_is_saved(tree: LiveTree) -> None:
    build(tree.workspace, {b"f": File(b"good")})
    sync = file_sync(MemoryObjectStore(), MemoryHeads())
    await save(sync, tree)
    path = tree.workspace / "f"
    status = path.stat()
    path.write_bytes(b"evil")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (await save(sync, tree)).uploaded == 1


async def test_a_replaced_container_cannot_overwrite_its_successor(tree: LiveTree) -> None:
    heads = MemoryHeads()
    store = MemoryObjectStore()
    sync = file_sync(store, heads)
    await save(sync, tree, generation=2)
    written = dict(store.objects)
    (tree.workspace / "late").write_bytes(b"late")
    with pytest.raises(StaleGenerationError):
        await save(sync, tree, generation=1)
    assert store.objects == written


async def test_a_container_replaced_during_its_save_does_not_move_the_head(
    tree: LiveTree,
) -> None:
    heads = MemoryHeads()
    successor = WorkspaceHead("rp-" + "1" * 32, generation=2, event_number=5)

    class Overtaking(MemoryObjectStore):
        async def put(self, key: str, data: bytes) -> None:
            await super().put(key, data)
            heads.heads["ws"] = successor

    with pytest.raises(StaleGenerationError):
        await save(file_sync(Overtaking(), heads), tree, generation=1)
    assert heads.heads["ws"] == successor


async def test_two_saves_of_a_workspace_take_turns(tree: LiveTree) -> None:
    build(tree.workspace, {b"a": File(b"12")})
    heads = MemoryHeads()
    sync = file_sync(MemoryObjectStore(), heads)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(save(sync, tree, event_number=1))
        second = group.create_task(save(sync, tree, event_number=2))
    manifest = await sync.manifest(tenant="acme", workspace_id="ws")
    assert manifest is not None
    assert manifest.parent == first.result().recovery_point
    assert heads.heads["ws"].recovery_point == second.result().recovery_point


async def test_the_head_moves_only_after_everything_is_durable(tree: LiveTree) -> None:
    steps: list[str] = []

    class Noting(MemoryObjectStore):
        async def put(self, key: str, data: bytes) -> None:
            await super().put(key, data)
            steps.append("manifest" if "manifests" in key else "pack")

    class NotingHeads(MemoryHeads):
        async def move_head(self, workspace_id: str, head: WorkspaceHead, named: Named) -> None:
            steps.append("head")
            await super().move_head(workspace_id, head, named)

    build(tree.workspace, {b"a": File(b"12")})
    await save(file_sync(Noting(), NotingHeads()), tree)
    assert steps == ["pack", "manifest", "head"]


async def test_the_manifest_waits_for_the_last_pack_of_a_large_file(tree: LiveTree) -> None:
    in_flight = 0
    left_when_the_manifest_came: list[int] = []
    packs: list[str] = []

    class Slow(MemoryObjectStore):
        async def put(self, key: str, data: bytes) -> None:
            nonlocal in_flight
            if "manifests" in key:
                left_when_the_manifest_came.append(in_flight)
            in_flight += 1
            for _ in range(20):
                await asyncio.to_thread(int)  # others go first
            await super().put(key, data)
            in_flight -= 1
            packs.append(key)

    build(tree.workspace, {b"a": File(b"12"), b"large": File(os.urandom(12 * 1024 * 1024))})
    await save(file_sync(Slow(), MemoryHeads()), tree)
    assert left_when_the_manifest_came == [0]
    assert "manifests" in packs.pop()
    assert len(packs) == 4


async def test_what_is_left_out_is_told_bounded_and_printable(tree: LiveTree) -> None:
    for number in range(5):
        os.mkfifo(tree.workspace / f"fifo\n{number}")
    sync = file_sync(MemoryObjectStore(), MemoryHeads(), limits=ScanLimits(left_out_limit=2))
    report = await save(sync, tree)
    assert len(report.left_out) == 3
    assert report.left_out[2] == "and 3 more"
    assert all(line.isprintable() for line in report.left_out)


async def test_a_file_that_keeps_changing_stays_as_it_was_last_saved(
    tree: LiveTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tree.workspace, {b"log": File(b"saved")})
    sync = file_sync(MemoryObjectStore(), MemoryHeads())
    await save(sync, tree)
    (tree.workspace / "log").write_bytes(b"half wri")
    real: Callable[[int, int], bytes] = file_reader._read

    def read_then_change(descriptor: int, size: int) -> bytes:
        content = real(descriptor, size)
        with (tree.workspace / "log").open("ab") as file:
            file.write(b"x")
        return content

    monkeypatch.setattr(file_reader, "_read", read_then_change)
    report = await save(sync, tree, event_number=2)
    monkeypatch.undo()
    assert report.left_out == [
        "workspace/log: changed while it was read; its last saved state is kept"
    ]
    assert report.deleted == 0
    back = await restored(sync, tmp_path / "back")
    assert (back.workspace / "log").read_bytes() == b"saved"


async def test_a_damaged_manifest_stops_a_restore_and_not_a_save(
    tree: LiveTree, tmp_path: Path
) -> None:
    build(tree.workspace, {b"a": File(b"12")})
    store, heads = MemoryObjectStore(), MemoryHeads()
    sync = file_sync(store, heads)
    first = await save(sync, tree)
    key = manifest_key("acme", "ws", first.recovery_point)
    store.objects[key] = store.objects[key][:-1]

    with pytest.raises(DamagedError, match=first.recovery_point):
        await restored(sync, tmp_path / "back")
    del store.objects[key]
    with pytest.raises(DamagedError, match="missing"):
        await sync.manifest(tenant="acme", workspace_id="ws")

    sync = file_sync(store, heads)  # a server that does not know it any more
    report = await save(sync, tree)
    assert report.uploaded == 1
    assert "all files were stored anew" in report.left_out[0]
    assert await sync.manifest(tenant="acme", workspace_id="ws") is not None


async def test_another_workspaces_recovery_point_is_not_restored(
    tree: LiveTree, tmp_path: Path
) -> None:
    store, heads = MemoryObjectStore(), MemoryHeads()
    sync = file_sync(store, heads)
    report = await save(sync, tree, workspace_id="other")
    point = report.recovery_point
    store.objects[manifest_key("acme", "ws", point)] = store.objects[
        manifest_key("acme", "other", point)
    ]
    heads.heads["ws"] = heads.heads["other"]
    with pytest.raises(DamagedError, match="belongs to another workspace"):
        await restored(sync, tmp_path / "back")


async def test_another_tenant_sees_nothing(tree: LiveTree) -> None:
    build(tree.workspace, {b"a": File(b"12")})
    sync = file_sync(MemoryObjectStore(), MemoryHeads())
    await save(sync, tree)
    with pytest.raises(FilesError):
        await sync.manifest(tenant="other", workspace_id="ws")


async def read(sync: FileSync, path: str) -> bytes:
    chunks = sync.read_file(tenant="acme", workspace_id="ws", path=path)
    return b"".join([chunk async for chunk in chunks])


async def test_a_file_is_read_from_the_recovery_point_not_from_the_live_tree(
    tree: LiveTree,
) -> None:
    build(
        tree.workspace,
        {b"100%": File(b"saved"), b"\xff": File(b"odd"), b"d": Folder({}), b"l": Link(b"100%")},
    )
    sync = file_sync(MemoryObjectStore(), MemoryHeads())
    await save(sync, tree)
    (tree.workspace / "100%").write_bytes(b"live")
    assert await read(sync, "100%") == b"saved"
    assert await read(sync, os.fsdecode(b"\xff")) == b"odd"
    for path in ("missing", "../home/x", "/etc/passwd", "", "d", "l", "l/x"):
        with pytest.raises(NoSuchFileError):
            await read(sync, path)


async def test_a_damaged_file_is_told_to_its_reader(tree: LiveTree) -> None:
    build(tree.workspace, {b"f": File(b"saved")})
    store = MemoryObjectStore()
    sync = file_sync(store, MemoryHeads())
    await save(sync, tree)
    pack = next(key for key in store.objects if "/packs/" in key)
    store.objects[pack] = b"other"
    with pytest.raises(DamagedError, match="workspace/f: pack"):
        await read(sync, "f")
    del store.objects[pack]
    with pytest.raises(DamagedError, match="is missing"):
        await read(sync, "f")


async def test_files_of_any_owner_come_back_as_the_trees_owner(
    tree: LiveTree, tmp_path: Path
) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root")
    build(tree.workspace, {b"f": File(b"x", 0o4755)})
    sync = file_sync(MemoryObjectStore(), MemoryHeads())
    await save(sync, tree)
    back = replace(make_live_tree(tmp_path / "back"), owner_uid=4242, owner_gid=4242)
    await sync.restore(tenant="acme", workspace_id="ws", tree=back)
    status = (back.workspace / "f").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (4242, 4242, 0o755)


async def test_a_range_of_a_file_is_read(tree: LiveTree) -> None:
    build(tree.workspace, {b"f": File(b"0123456789")})
    sync = file_sync(MemoryObjectStore(), MemoryHeads())
    await save(sync, tree)
    chunks = sync.read_file(tenant="acme", workspace_id="ws", path="f", start=3, end=7)
    assert b"".join([chunk async for chunk in chunks]) == b"3456"


def version_1(base: Path) -> tuple[MemoryObjectStore, MemoryHeads, LiveTree]:
    """What version 1 left in a store, and the tree that it was made from."""
    tree = make_live_tree(base)
    build(
        tree.workspace,
        {
            b"small": File(b"saved by version 1"),
            b"empty": File(b""),
            b"large": File(b"version 1\n" * 110_000),
            b"d": Folder({b"100%.txt": File(b"percent")}),
            b"link": Link(b"d/100%.txt"),
        },
    )
    build(tree.home, memory({b"s.jsonl": File(b"{}\n")}))
    store, heads = MemoryObjectStore(), MemoryHeads()
    encoded = Path(__file__).with_name("version_1.json").read_bytes()
    point = recovery_point_of(encoded)
    store.objects[manifest_key("acme", "ws", point, version=1)] = encoded
    for path in [*tree.workspace.rglob("*"), *tree.home.rglob("*")]:
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            store.objects[blob_key("acme", hashlib.sha256(content).hexdigest())] = content
    heads.heads["ws"] = WorkspaceHead(point, generation=1, event_number=7)
    return store, heads, tree


def contents(tree: LiveTree) -> dict[str, bytes]:
    return {
        str(path.relative_to(tree.workspace)): path.read_bytes()
        for path in tree.workspace.rglob("*")
        if path.is_file()
    }


async def test_what_version_1_stored_is_restored_and_read(tmp_path: Path) -> None:
    store, heads, tree = version_1(tmp_path / "old")
    sync = file_sync(store, heads)
    back = await restored(sync, tmp_path / "back")
    assert contents(back) == contents(tree)
    assert await read(sync, "small") == b"saved by version 1"
    assert await read(sync, "large") == b"version 1\n" * 110_000


async def test_a_save_on_top_of_version_1_loses_nothing(tmp_path: Path) -> None:
    store, heads, _ = version_1(tmp_path / "old")
    sync = file_sync(store, heads)
    live = await restored(sync, tmp_path / "live")
    (live.workspace / "new").write_bytes(b"by version 2")
    report = await save(sync, live, event_number=8)
    # the small files stay in their blobs; of a large one the pieces were not known
    assert report.uploaded == 2
    back = await restored(file_sync(store, heads), tmp_path / "back")
    assert contents(back) == contents(live)


async def test_saves_of_a_few_files_each_do_not_leave_ever_more_packs(
    tree: LiveTree, tmp_path: Path
) -> None:
    for number in range(20):
        (tree.workspace / f"old{number}").write_bytes(b"old %d" % number)
    sync = file_sync(MemoryObjectStore(), MemoryHeads())
    for number in range(100):
        (tree.workspace / f"new{number}").write_bytes(b"new %d" % number)
        await save(sync, tree, event_number=number + 1)
    manifest = await sync.manifest(tenant="acme", workspace_id="ws")
    assert manifest is not None
    packs = {part.pack.id for entry in manifest.entries for part in entry.parts or ()}
    assert len(packs) <= SMALL_PACKS + 1
    back = await restored(sync, tmp_path / "back")
    assert contents(back) == contents(tree)


async def test_a_pack_of_mostly_dead_bytes_is_left_behind(tree: LiveTree, tmp_path: Path) -> None:
    for number in range(8):
        (tree.workspace / str(number)).write_bytes(os.urandom(100_000))
    sync = file_sync(MemoryObjectStore(), MemoryHeads())
    await save(sync, tree)
    for number in range(6):
        (tree.workspace / str(number)).unlink()
    (tree.workspace / "new").write_bytes(b"new")
    report = await save(sync, tree, event_number=2)
    assert report.uploaded == 3
    manifest = await sync.manifest(tenant="acme", workspace_id="ws")
    assert manifest is not None
    packs = {part.pack for entry in manifest.entries for part in entry.parts or ()}
    assert sum(pack.plain_size for pack in packs) == 200_003
    back = await restored(sync, tmp_path / "back")
    assert contents(back) == contents(tree)


async def test_files_go_to_an_engine_with_subordinate_users_and_back(
    tree: LiveTree, tmp_path: Path
) -> None:
    """What is stored names no user: a box's files are whosever box they are restored into."""
    if os.getuid() != 0:
        pytest.skip("needs root")
    build(
        tree.workspace,
        {b"d": Folder({b"f": File(b"x", 0o2755)}), b"l": Link(b"d/f"), b"s": File(b"")},
    )
    sync = file_sync(MemoryObjectStore(), MemoryHeads())
    mapped = replace(make_live_tree(tmp_path / "mapped"), owner_uid=166_536, owner_gid=266_536)
    plain = replace(make_live_tree(tmp_path / "plain"), owner_uid=1000, owner_gid=1000)
    await save(sync, tree)
    for restored in (mapped, plain):
        await sync.restore(tenant="acme", workspace_id="ws", tree=restored)
        found = [path.lstat() for path in restored.workspace.rglob("*")]
        assert {(one.st_uid, one.st_gid) for one in found} == {
            (restored.owner_uid, restored.owner_gid)
        }
        assert len(found) == 4
        # a box may leave files to other ids of its own range, groups above all
        os.chown(restored.workspace / "s", 165_541, 265_543)
        os.chown(restored.workspace / "d", -1, 265_600)
        report = await save(sync, restored)
        assert report.left_out == []


async def test_a_hard_link_to_a_file_of_another_subordinate_user_is_left_out(
    tmp_path: Path,
) -> None:
    """The host's own user 1000 among them, who is a stranger to a remapped box."""
    if os.getuid() != 0:
        pytest.skip("needs root")
    tree = replace(make_live_tree(tmp_path), owner_uid=166_536, owner_gid=266_536)
    build(tree.workspace, {b"own": File(b"x"), b"foreign": File(b"y")})
    for name, uid in (("own", 166_536), ("foreign", 1000)):
        os.chown(tree.workspace / name, uid, -1)
        os.link(tree.workspace / name, tree.workspace / f"{name} again")
    report = await save(file_sync(MemoryObjectStore(), MemoryHeads()), tree)
    assert sorted(report.left_out) == [
        "workspace/foreign again: a hard link to a file of another owner",
        "workspace/foreign: a hard link to a file of another owner",
    ]


def put_into(
    path: bytes, content: bytes, parts: Parts = None
) -> Callable[[Sequence[Entry]], Sequence[Entry]]:
    digest = hashlib.sha256(content).hexdigest()
    entry = Entry(
        root="workspace",
        path=path,
        kind="file",
        mode=0o644,
        mtime_ns=1,
        size=len(content),
        sha256=digest,
        parts=parts,
    )
    return lambda entries: with_file(entries, entry)


async def stored_file(sync: FileSync, content: bytes, *, sha256: str | None = None) -> Parts:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        return await sync.store_file(
            tenant="acme",
            descriptor=file.fileno(),
            size=len(content),
            sha256=sha256 or hashlib.sha256(content).hexdigest(),
        )


@pytest.mark.parametrize("size", [0, 5, 3 * 1024 * 1024])
async def test_a_recovery_point_is_made_without_a_tree_and_restored(
    tree: LiveTree, size: int
) -> None:
    store, heads = MemoryObjectStore(), MemoryHeads()
    sync = file_sync(store, heads)
    content = os.urandom(size)
    change = put_into(b"a/f", content, await stored_file(sync, content))
    made = await sync.amend(tenant="acme", workspace_id="ws", generation=0, change=change)
    head = await heads.head("ws")
    assert head == WorkspaceHead(made, 1, 0)
    assert not any("/blobs/" in key for key in store.objects)
    await sync.restore(tenant="acme", workspace_id="ws", tree=tree)
    assert (tree.workspace / "a/f").read_bytes() == content
    report = await save(sync, tree)
    assert (report.uploaded, report.kept) == (0, 1)
    chunks = sync.read_file(tenant="acme", workspace_id="ws", path="a/f", start=2, end=size - 1)
    assert b"".join([chunk async for chunk in chunks]) == content[2 : max(size - 1, 0)]


async def test_a_file_is_put_beside_those_that_a_save_packed(
    tree: LiveTree, tmp_path: Path
) -> None:
    build(tree.workspace, {b"kept": File(b"kept"), b"gone": File(b"old")})
    store, heads = MemoryObjectStore(), MemoryHeads()
    sync = file_sync(store, heads)
    await save(sync, tree)
    change = put_into(b"gone", b"new", await stored_file(sync, b"new"))
    sync = file_sync(store, heads)  # a server that has seen nothing of it yet
    await sync.amend(tenant="acme", workspace_id="ws", generation=1, change=change)
    back = await restored(sync, tmp_path / "back")
    assert (back.workspace / "kept").read_bytes() == b"kept"
    assert (back.workspace / "gone").read_bytes() == b"new"


async def test_a_file_that_is_not_the_one_that_was_told_is_refused() -> None:
    sync = file_sync(MemoryObjectStore(), MemoryHeads())
    with pytest.raises(FilesError, match="not the one of 3 bytes"):
        await stored_file(sync, b"abc", sha256="0" * 64)


async def test_a_list_is_not_changed_behind_a_containers_back(tree: LiveTree) -> None:
    sync = file_sync(MemoryObjectStore(), MemoryHeads())
    await sync.save(
        tenant="t",
        workspace_id="w",
        generation=2,
        event_number=7,
        tree=tree,
        session_id=SESSION,
    )
    with pytest.raises(StaleGenerationError):
        await sync.amend(tenant="t", workspace_id="w", generation=1, change=put_into(b"f", b"late"))
    await sync.amend(tenant="t", workspace_id="w", generation=2, change=put_into(b"f", b"x"))
    manifest = await sync.manifest(tenant="t", workspace_id="w")
    assert manifest is not None
    assert (manifest.event_number, manifest.session_id, manifest.generation) == (7, SESSION, 2)


async def test_a_list_over_the_limits_is_refused(tree: LiveTree) -> None:
    limits = ScanLimits(limit_entries=1)
    sync = file_sync(MemoryObjectStore(), MemoryHeads(), limits=limits)
    await sync.amend(tenant="t", workspace_id="w", generation=1, change=put_into(b"a", b""))
    with pytest.raises(NoSpaceError, match="limit_entries"):
        await sync.amend(tenant="t", workspace_id="w", generation=1, change=put_into(b"b", b""))


async def test_a_save_that_took_longer_than_the_collection_waits_is_not_committed(
    tree: LiveTree,
) -> None:
    """Else what it names may have left the store, and nobody would know any more."""
    now_s = 0.0
    takes_s = LONGEST_SAVE_S + 1

    class Slow(MemoryObjectStore):
        async def put(self, key: str, data: bytes) -> None:
            nonlocal now_s
            await super().put(key, data)
            now_s += takes_s if "manifests" in key else 0

    heads = MemoryHeads()
    sync = FileSync(
        store=Slow(),
        heads=heads,
        limits=ScanLimits(),
        clock=lambda: NOON,
        monotonic=lambda: now_s,
    )
    (tree.workspace / "f").write_bytes(b"x")
    with pytest.raises(FilesError, match="took longer than 3600 s"):
        await save(sync, tree)
    assert heads.heads == {}
    takes_s = LONGEST_SAVE_S
    await save(sync, tree)
    assert heads.heads.keys() == {"ws"}
