import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from tests.unit.host.files.trees import NOON

from hakoiri.host.files.file_reader import SMALL_FILE_LIMIT_BYTES
from hakoiri.host.files.keys import blob_key, pack_key
from hakoiri.host.files.manifest import Entry, Manifest
from hakoiri.host.files.pack_codec import seal
from hakoiri.host.files.packs import Part
from hakoiri.host.files.ports import DamagedError, FilesError, LiveTree, QuotaError
from hakoiri.host.files.quota import DiskUse
from hakoiri.host.files.restore import (
    PACKS_AHEAD,
    PACKS_AT_ONCE,
    RestoreReport,
    check_limits,
    restore_tree,
)
from hakoiri.host.files.scan import ScanLimits
from hakoiri.host.files.testing import MemoryObjectStore

pytestmark = pytest.mark.anyio

LARGE = b"large" * SMALL_FILE_LIMIT_BYTES
SIZES = pytest.mark.parametrize("content", [b"abc", LARGE], ids=["small", "large"])


def file_of(content: bytes, path: bytes = b"f") -> Entry:
    sha256 = hashlib.sha256(content).hexdigest()
    return Entry("workspace", path, "file", 0o644, 5, size=len(content), sha256=sha256)


def manifest_of(*entries: Entry) -> Manifest:
    return Manifest("ws", None, 1, 7, "ab-cd", NOON, entries)


def store_of(*contents: bytes) -> MemoryObjectStore:
    store = MemoryObjectStore()
    for content in contents:
        store.objects[blob_key("acme", hashlib.sha256(content).hexdigest())] = content
    return store


async def restore(
    store: MemoryObjectStore,
    manifest: Manifest,
    tree: LiveTree,
    limits: ScanLimits | None = None,
) -> RestoreReport:
    return await restore_tree(
        store=store,
        tenant="acme",
        recovery_point="rp-" + "0" * 32,
        manifest=manifest,
        tree=tree,
        limits=limits or ScanLimits(),
    )


async def test_small_and_large_files_are_written_and_counted(tree: LiveTree) -> None:
    manifest = manifest_of(file_of(LARGE, b"a"), file_of(b"abc", b"b"), file_of(b"", b"c"))
    report = await restore(store_of(LARGE, b"abc", b""), manifest, tree)
    assert (tree.workspace / "a").read_bytes() == LARGE
    assert (tree.workspace / "b").read_bytes() == b"abc"
    assert (tree.workspace / "c").read_bytes() == b""
    assert (report.files, report.file_bytes) == (3, len(LARGE) + 3)
    assert (report.event_number, report.session_id) == (7, "ab-cd")


def packed(store: MemoryObjectStore, *files: tuple[bytes, bytes]) -> list[Entry]:
    """Store small files in one pack; return their entries."""
    pack, stored = seal(b"".join(content for _, content in files))
    store.objects[pack_key("acme", pack.id)] = stored
    entries, offset = [], 0
    for path, content in files:
        entry = file_of(content, path)
        part = Part(pack, offset, len(content), entry.sha256)
        entries.append(replace(entry, parts=(part,) if content else ()))
        offset += len(content)
    return entries


async def test_files_of_one_pack_are_written_with_one_read(tree: LiveTree) -> None:
    reads = 0

    class Counting(MemoryObjectStore):
        async def get(self, key: str, *, limit_bytes: int) -> bytes:
            nonlocal reads
            reads += 1
            return await super().get(key, limit_bytes=limit_bytes)

    store = Counting()
    names = [b"%03d" % number for number in range(100)]
    entries = packed(store, *[(name, b"content " + name) for name in names], (b"z", b""))
    report = await restore(store, manifest_of(*entries), tree)
    assert reads == 1
    assert {path.name: path.read_bytes() for path in tree.workspace.iterdir()} == {
        **{name.decode(): b"content " + name for name in names},
        "z": b"",
    }
    assert report.files == 101


def flipped(content: bytes) -> bytes:
    return bytes([content[0] ^ 1]) + content[1:]


def in_packs(store: MemoryObjectStore, *, path: bytes = b"f", packs: int = 4) -> Entry:
    """Store a large file, a pack for each of its pieces; return its entry."""
    pieces = [os.urandom(SMALL_FILE_LIMIT_BYTES) for _ in range(packs)]
    parts = []
    for piece in pieces:
        pack, stored = seal(piece)
        store.objects[pack_key("acme", pack.id)] = stored
        parts.append(Part(pack, 0, len(piece), hashlib.sha256(piece).hexdigest()))
    return replace(file_of(b"".join(pieces), path), parts=tuple(parts))


async def test_a_large_file_is_put_together_from_its_packs(tree: LiveTree) -> None:
    store = MemoryObjectStore()
    entry = in_packs(store)
    await restore(store, manifest_of(entry), tree)
    content = (tree.workspace / "f").read_bytes()
    assert hashlib.sha256(content).hexdigest() == entry.sha256


async def test_packs_are_read_ahead_but_never_more_than_there_is_room_for(tree: LiveTree) -> None:
    class Slow(MemoryObjectStore):
        in_flight = most = 0

        async def get(self, key: str, *, limit_bytes: int) -> bytes:
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)
            for _ in range(20):
                await asyncio.to_thread(int)  # others go first
            self.in_flight -= 1
            return await super().get(key, limit_bytes=limit_bytes)

    one = Slow()
    await restore(one, manifest_of(in_packs(one, packs=8)), tree)
    assert one.most == PACKS_AHEAD + 1
    (tree.workspace / "f").unlink()
    many = Slow()
    files = [in_packs(many, path=b"%02d" % number, packs=3) for number in range(8)]
    await restore(many, manifest_of(*files), tree)
    assert PACKS_AHEAD + 1 < many.most <= PACKS_AT_ONCE


async def test_a_large_file_in_the_wrong_order_never_gets_its_name(tree: LiveTree) -> None:
    store = MemoryObjectStore()
    entry = in_packs(store)
    assert entry.parts is not None
    odd = replace(entry, parts=entry.parts[::-1])
    with pytest.raises(DamagedError, match=r"workspace/f: packs .* holds other bytes"):
        await restore(store, manifest_of(odd), tree)
    assert not (tree.workspace / "f").exists()


async def test_a_damaged_pack_of_a_large_file_is_named(tree: LiveTree) -> None:
    store = MemoryObjectStore()
    entry = in_packs(store)
    assert entry.parts is not None
    pack_id = entry.parts[2].pack.id
    key = pack_key("acme", pack_id)
    store.objects[key] = flipped(store.objects[key])
    with pytest.raises(DamagedError, match=f"workspace/f: pack {pack_id} holds other bytes"):
        await restore(store, manifest_of(entry), tree)
    assert not (tree.workspace / "f").exists()


@pytest.mark.parametrize("plain", [os.urandom(5000), b"text" * 5000], ids=["none", "zstd"])
@pytest.mark.parametrize("how", ["flipped", "short", "long"])
async def test_a_pack_of_a_large_file_of_any_coding_is_named_however_it_is_damaged(
    tree: LiveTree, plain: bytes, how: str
) -> None:
    store = MemoryObjectStore()
    entry = in_packs(store, packs=2)
    pack, stored = seal(plain)
    part = Part(pack, 0, len(plain), hashlib.sha256(plain).hexdigest())
    damage = {"flipped": flipped(stored), "short": stored[:-1], "long": stored + b"x"}[how]
    store.objects[pack_key("acme", pack.id)] = damage
    entry = replace(entry, size=entry.size + len(plain), parts=(part, *(entry.parts or ())))
    said = "is longer than it was" if how == "long" else "holds other bytes"
    with pytest.raises(DamagedError, match=f"workspace/f: pack {pack.id} {said}"):
        await restore(store, manifest_of(entry), tree)
    assert not (tree.workspace / "f").exists()


async def test_bytes_that_were_spoiled_once_never_get_a_name(tree: LiveTree) -> None:
    """On the way: when the pack is looked at again, nothing is wrong with it."""

    class Spoiling(MemoryObjectStore):
        left = 1

        async def get(self, key: str, *, limit_bytes: int) -> bytes:
            content = await super().get(key, limit_bytes=limit_bytes)
            self.left -= 1
            return flipped(content) if self.left == 0 else content

    store = Spoiling()
    entry = in_packs(store)
    with pytest.raises(DamagedError, match=r"workspace/f: packs .* holds other bytes"):
        await restore(store, manifest_of(entry), tree)
    assert not (tree.workspace / "f").exists()


async def test_a_missing_and_a_damaged_pack_are_named_and_none_of_it_gets_its_name(
    tree: LiveTree,
) -> None:
    store = MemoryObjectStore()
    entries = packed(store, (b"a", b"abc"), (b"b", b"def"))
    [key] = store.objects
    pack_id = key.rpartition("/")[2]
    store.objects[key] = b"abcdeX"
    with pytest.raises(DamagedError, match=f"workspace/a: pack {pack_id} holds other bytes"):
        await restore(store, manifest_of(*entries), tree)
    store.objects.clear()
    with pytest.raises(DamagedError, match=f"workspace/a: pack {pack_id} is missing"):
        await restore(store, manifest_of(*entries), tree)
    assert list(tree.workspace.iterdir()) == []


@SIZES
async def test_a_missing_blob_is_named(tree: LiveTree, content: bytes) -> None:
    entry = file_of(content)
    with pytest.raises(DamagedError, match=f"workspace/f: blob {entry.sha256} is missing"):
        await restore(MemoryObjectStore(), manifest_of(entry), tree)
    assert not (tree.workspace / "f").exists()


@SIZES
@pytest.mark.parametrize("how", ["flipped", "short", "long"])
async def test_a_damaged_blob_is_named_and_never_gets_its_name(
    tree: LiveTree, content: bytes, how: str
) -> None:
    entry = file_of(content)
    damage = {"flipped": b"X" + content[1:], "short": content[:-1], "long": content + b"x"}
    store = MemoryObjectStore()
    store.objects[blob_key("acme", entry.sha256)] = damage[how]
    with pytest.raises(DamagedError, match=f"workspace/f: blob {entry.sha256}"):
        await restore(store, manifest_of(entry), tree)
    assert not (tree.workspace / "f").exists()


async def test_a_small_blob_that_became_huge_is_not_read_into_memory(tree: LiveTree) -> None:
    entry = file_of(b"abc")
    store = MemoryObjectStore()
    store.objects[blob_key("acme", entry.sha256)] = LARGE
    with pytest.raises(DamagedError, match="longer than it was"):
        await restore(store, manifest_of(entry), tree)


async def test_an_endless_blob_is_cut_off_at_the_size_it_had(tree: LiveTree) -> None:
    asked = 0

    class Endless(MemoryObjectStore):
        async def stream(self, key: str) -> AsyncIterator[bytes]:
            nonlocal asked
            while asked < 100:
                asked += 1
                yield bytes(SMALL_FILE_LIMIT_BYTES)

    with pytest.raises(DamagedError, match="longer than it was"):
        await restore(Endless(), manifest_of(file_of(LARGE)), tree)
    assert asked == 6


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (ScanLimits(limit_bytes=3), "files.limit_bytes"),
        (ScanLimits(limit_entries=2), "files.limit_entries"),
        (ScanLimits(depth_limit=1), "files.depth_limit"),
    ],
)
async def test_limits_are_checked_before_anything_is_written(
    tree: LiveTree, limits: ScanLimits, said: str
) -> None:
    folder = Entry("workspace", b"d", "directory", 0o755, 0)
    manifest = manifest_of(file_of(b"ab", b"a"), folder, file_of(b"cd", b"d/f"))
    check_limits(manifest, ScanLimits(limit_bytes=4, limit_entries=3, depth_limit=2))
    with pytest.raises(FilesError, match=said):
        await restore(store_of(b"ab", b"cd"), manifest, tree, limits)
    assert list(tree.workspace.iterdir()) == []


async def test_a_tree_that_is_not_empty_is_left_alone(tree: LiveTree) -> None:
    (tree.workspace / "f").write_bytes(b"mine")
    with pytest.raises(FilesError, match="not empty"):
        await restore(store_of(b"abc"), manifest_of(file_of(b"abc")), tree)
    assert (tree.workspace / "f").read_bytes() == b"mine"


async def test_another_tenants_blob_is_not_found(tree: LiveTree) -> None:
    store = store_of(b"abc")
    store.objects = {
        key.replace("tenants/acme", "tenants/other"): value for key, value in store.objects.items()
    }
    with pytest.raises(DamagedError, match="is missing"):
        await restore(store, manifest_of(file_of(b"abc")), tree)


async def test_times_and_modes_of_directories_survive_what_is_written_into_them(
    tree: LiveTree,
) -> None:
    folder = Entry("workspace", b"d", "directory", 0o555, 1_000_000_001)
    inside = replace(file_of(b"abc"), path=b"d/f")
    await restore(store_of(b"abc"), manifest_of(folder, inside), tree)
    status = (tree.workspace / "d").stat()
    assert (status.st_mode & 0o777, status.st_mtime_ns) == (0o555, 1_000_000_001)


async def test_what_does_not_fit_the_disks_is_refused_before_anything_is_written(
    tree: LiveTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = DiskUse(used_bytes=0, quota_bytes=4096, used_inodes=0, quota_inodes=16)
    monkeypatch.setattr(DiskUse, "of", lambda _: small)
    manifest = manifest_of(file_of(b"abc", b"a"), file_of(b"x" * 4097, b"b"))
    with pytest.raises(QuotaError, match="needs 12288 bytes in the workspace, over the 4096"):
        await restore(store_of(b"abc", b"x" * 4097), manifest, tree)
    assert list(tree.workspace.iterdir()) == []
