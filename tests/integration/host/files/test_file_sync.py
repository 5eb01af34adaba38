"""File sync on a real directory store, against a container that does what it can."""

import asyncio
import os
import stat
import threading
from pathlib import Path

import pytest
from tests.s3_server import Fault, S3Server, credentials_file, faulty_proxy
from tests.unit.host.files.trees import (
    File,
    Folder,
    Link,
    Node,
    build,
    describe,
    file_sync,
    make_live_tree,
)

from hakoiri.host.adapters.object_store import open_object_store
from hakoiri.host.files.collection_ports import CollectableStore
from hakoiri.host.files.file_reader import SMALL_FILE_LIMIT_BYTES
from hakoiri.host.files.pack_codec import CodecError, decompress
from hakoiri.host.files.ports import DamagedError, FilesError, LiveTree, ObjectStore
from hakoiri.host.files.save_report import SaveReport
from hakoiri.host.files.sync import FileSync
from hakoiri.host.files.testing import MemoryHeads
from hakoiri.host.settings import ObjectStoreSettings

pytestmark = pytest.mark.anyio

SECRET = b"outside-secret-5f1c"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def store(directory: Path) -> ObjectStore:
    return open_object_store(directory.as_uri())


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.root)])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """Each kind of store in turn."""
    if request.param == "file":
        return open_object_store((tmp_path / "any objects").as_uri())
    server: S3Server = request.getfixturevalue("s3")
    return open_s3(server, server.endpoint, tmp_path)


def open_s3(server: S3Server, endpoint: str, tmp_path: Path) -> CollectableStore:
    bucket = server.bucket(f"b-{os.urandom(6).hex()}")
    settings = ObjectStoreSettings(
        credentials_file=credentials_file(tmp_path), endpoint=endpoint, timeout_s=3
    )
    return open_object_store(f"s3://{bucket}/prefix", settings)


@pytest.fixture
def tree(tmp_path: Path) -> LiveTree:
    return make_live_tree(tmp_path / "live")


async def save(sync: FileSync, tree: LiveTree, event_number: int = 1) -> SaveReport:
    return await sync.save(
        tenant="acme",
        workspace_id="ws",
        generation=1,
        event_number=event_number,
        tree=tree,
        session_id=None,
    )


async def restore(sync: FileSync, base: Path) -> LiveTree:
    tree = make_live_tree(base)
    assert await sync.restore(tenant="acme", workspace_id="ws", tree=tree) is not None
    return tree


def only_pack(directory: Path) -> Path:
    [pack] = directory.rglob("packs/*/*")
    return pack


def stored_bytes(directory: Path) -> bytes:
    """All that the store holds, decoded."""
    return b"".join(decoded(path.read_bytes()) for path in directory.rglob("*") if path.is_file())


def decoded(content: bytes) -> bytes:
    try:
        return decompress(content, limit_bytes=2**30)
    except CodecError:
        return content


async def test_a_workspace_and_its_memory_survive(
    any_store: ObjectStore, tree: LiveTree, tmp_path: Path
) -> None:
    build(
        tree.workspace,
        {
            b"notes.txt": File(b"hello"),
            b"large": File(os.urandom(3 * SMALL_FILE_LIMIT_BYTES + 1), 0o600),
            b"src": Folder({b"run.sh": File(b"#!/bin/sh\n", 0o755), b"empty": Folder({})}),
            b"link": Link(b"src/run.sh"),
            b"caf\xe9\n": File(b"latin"),
        },
    )
    build(tree.home, {b".claude": Folder({b"projects": Folder({b"s.jsonl": File(b"{}\n")})})})
    sync = file_sync(any_store, MemoryHeads())
    await save(sync, tree)

    back = await restore(sync, tmp_path / "back")

    assert describe(back.workspace) == describe(tree.workspace)
    assert describe(back.home) == describe(tree.home)


async def test_a_restored_workspace_saves_without_sending_a_byte(
    any_store: ObjectStore, tree: LiveTree, tmp_path: Path
) -> None:
    build(tree.workspace, {b"a": File(b"1"), b"b": File(os.urandom(2 * SMALL_FILE_LIMIT_BYTES))})
    sync = file_sync(any_store, MemoryHeads())
    await save(sync, tree)
    back = await restore(sync, tmp_path / "back")
    report = await save(sync, back, event_number=2)
    assert (report.uploaded, report.kept, report.deleted) == (0, 2, 0)


async def test_no_link_leads_a_save_or_a_restore_outside(
    store: ObjectStore, directory: Path, tree: LiveTree, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(SECRET)
    build(
        tree.workspace,
        {
            b"file": Link(os.fsencode(outside / "secret")),
            b"folder": Link(os.fsencode(outside)),
            b"up": Link(b"../../outside/secret"),
            b"loop": Link(b"loop"),
            b"shadow": Link(b"/etc/shadow"),
        },
    )
    before = describe(outside)
    sync = file_sync(store, MemoryHeads())
    await save(sync, tree)
    back = await restore(sync, tmp_path / "back")
    assert SECRET not in stored_bytes(directory)
    assert describe(back.workspace) == describe(tree.workspace)
    assert describe(outside) == before


async def test_everything_special_is_left_out_and_told(store: ObjectStore, tree: LiveTree) -> None:
    build(tree.workspace, {b"good": File(b"1")})
    os.mkfifo(tree.workspace / "fifo")
    with (tree.workspace / "sparse").open("wb") as file:
        file.truncate(1024**4)
    expected = {
        "workspace/fifo: a FIFO",
        "workspace/sparse: larger than the limit of 1073741824 bytes for one file",
    }
    if os.getuid() == 0:
        os.mknod(tree.workspace / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
        expected.add("workspace/zero: a device")
    sync = file_sync(store, MemoryHeads())
    report = await save(sync, tree)
    manifest = await sync.manifest(tenant="acme", workspace_id="ws")
    assert manifest is not None
    assert set(report.left_out) == expected
    assert [entry.path for entry in manifest.entries] == [b"good"]


async def test_a_directory_swapped_for_a_symlink_all_the_time_gives_nothing_away(
    store: ObjectStore, directory: Path, tree: LiveTree, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    build(tree.workspace, {b"d": Folder({b"%d" % n: File(b"mine") for n in range(50)})})
    for number in range(50):
        (outside / str(number)).write_bytes(SECRET)
    victim, away = tree.workspace / "d", tree.workspace / "away"
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            victim.rename(away)
            victim.symlink_to(outside)
            victim.unlink()
            away.rename(victim)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        sync = file_sync(store, MemoryHeads())
        for number in range(1, 21):
            await save(sync, tree, event_number=number)
    finally:
        stop.set()
        swapper.join()
    assert SECRET not in stored_bytes(directory)
    await restore(sync, tmp_path / "back")


async def test_a_file_rewritten_all_the_time_is_stored_as_one_state_of_it(
    any_store: ObjectStore, tree: LiveTree, tmp_path: Path
) -> None:
    states = [bytes([letter]) * (2 * SMALL_FILE_LIMIT_BYTES) for letter in b"abcdefgh"]
    path = tree.workspace / "f"
    path.write_bytes(states[0])
    stop = threading.Event()

    def rewrite() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            staged = tree.workspace / "staged"
            staged.write_bytes(states[number % len(states)])
            staged.replace(path)

    sync = file_sync(any_store, MemoryHeads())
    await save(sync, tree)
    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        for number in range(2, 8):
            await save(sync, tree, event_number=number)
    finally:
        stop.set()
        writer.join()
    back = await restore(sync, tmp_path / "back")
    assert (back.workspace / "f").read_bytes() in states


async def test_a_missing_and_a_damaged_pack_on_disk_are_named(
    store: ObjectStore, directory: Path, tree: LiveTree, tmp_path: Path
) -> None:
    build(tree.workspace, {b"f": File(b"precious")})
    sync = file_sync(store, MemoryHeads())
    await save(sync, tree)
    pack = only_pack(directory)
    pack.write_bytes(b"rotten!!")
    with pytest.raises(DamagedError, match=f"workspace/f: pack {pack.name} holds other bytes"):
        await restore(sync, tmp_path / "one")
    pack.unlink()
    with pytest.raises(DamagedError, match=f"workspace/f: pack {pack.name} is missing"):
        await restore(sync, tmp_path / "two")


async def test_a_store_that_refuses_a_write_leaves_the_head(
    store: ObjectStore, directory: Path, tree: LiveTree
) -> None:
    build(tree.workspace, {b"f": File(b"old")})
    heads = MemoryHeads()
    sync = file_sync(store, heads)
    await save(sync, tree)
    head = heads.heads["ws"]
    (tree.workspace / "f").write_bytes(b"new")
    tenant = directory / "tenants" / "acme"
    (tenant / "packs").rename(tenant / "gone")
    (tenant / "packs").write_bytes(b"")
    with pytest.raises(FilesError):
        await save(sync, tree, event_number=2)
    assert heads.heads["ws"] == head


@pytest.mark.root
@pytest.mark.parametrize("fault", ["away", "broken", "throttled", "hanging"])
async def test_a_save_fails_while_the_store_is_away_and_the_next_one_catches_up(
    s3: S3Server, tree: LiveTree, tmp_path: Path, fault: Fault
) -> None:
    build(tree.workspace, {b"old": File(b"old")})
    heads = MemoryHeads()
    with faulty_proxy(s3) as proxy:
        sync = file_sync(open_s3(s3, proxy.endpoint, tmp_path), heads)
        await save(sync, tree)
        head = heads.heads["ws"]
        (tree.workspace / "new").write_bytes(b"new")
        proxy.fail(fault)
        with pytest.raises(FilesError):
            await save(sync, tree, event_number=2)
        assert heads.heads["ws"] == head
        proxy.fail("none")
        assert (await save(sync, tree, event_number=3)).uploaded == 1
        back = await restore(sync, tmp_path / "back")
    assert describe(back.workspace) == describe(tree.workspace)


@pytest.mark.root
async def test_a_restore_from_answers_cut_short_ends_in_an_error_or_is_whole(
    s3: S3Server, tree: LiveTree, tmp_path: Path
) -> None:
    build(tree.workspace, {b"%d" % number: File(os.urandom(500_000)) for number in range(20)})
    with faulty_proxy(s3) as proxy:
        sync = file_sync(open_s3(s3, proxy.endpoint, tmp_path), MemoryHeads())
        await save(sync, tree)
        proxy.fail("cut", times=2)
        back = await restore(sync, tmp_path / "back")
        assert describe(back.workspace) == describe(tree.workspace)
        proxy.fail("cut")
        with pytest.raises(FilesError):
            await restore(sync, tmp_path / "never")


async def test_two_syncs_at_once_of_the_same_files_both_hold(
    any_store: ObjectStore, tmp_path: Path
) -> None:
    content: dict[bytes, Node] = {
        b"%d" % number: File(b"same %d" % number * 1000) for number in range(50)
    }
    heads = MemoryHeads()
    trees = {name: make_live_tree(tmp_path / name) for name in ("one", "two")}
    for tree in trees.values():
        build(tree.workspace, content)
    servers = {name: file_sync(any_store, heads) for name in trees}
    async with asyncio.TaskGroup() as group:
        for name, tree in trees.items():
            group.create_task(
                servers[name].save(
                    tenant="acme",
                    workspace_id=name,
                    generation=1,
                    event_number=1,
                    tree=tree,
                    session_id=None,
                )
            )
    for name, tree in trees.items():
        back = make_live_tree(tmp_path / f"{name}-back")
        await servers[name].restore(tenant="acme", workspace_id=name, tree=back)
        assert describe(back.workspace) == describe(tree.workspace)
