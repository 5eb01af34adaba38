import hashlib
import os

import pytest
from tests.unit.host.files.trees import a_second_later

from hakoiri.host.files.file_reader import SMALL_FILE_LIMIT_BYTES, FileReader, GrowthBudget
from hakoiri.host.files.large_file import LargeFile
from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.packs import PACK_BYTES, PACK_LIMIT_BYTES, Known, known_of
from hakoiri.host.files.plan import Found
from hakoiri.host.files.ports import LiveTree
from hakoiri.host.files.scan import CHANGING, ScanLimits, scan
from hakoiri.host.files.stored_bytes import StoredBytes
from hakoiri.host.files.testing import MemoryObjectStore
from hakoiri.host.files.upload import Upload, Uploaded

pytestmark = pytest.mark.anyio

NOTHING: frozenset[str] = frozenset()


def found_in(tree: LiveTree) -> list[Found]:
    return list(scan(tree, limits=ScanLimits(), monotonic=lambda: 0.0).found)


async def upload(tree: LiveTree, store: MemoryObjectStore, known: Known | None = None) -> Uploaded:
    reader = FileReader(
        tree=tree, limits=ScanLimits(), budget=GrowthBudget(2**30), wall_ns=a_second_later
    )
    work = Upload(store=store, tenant="acme", reader=reader, known=known or Known())
    return await work.run(found_in(tree))


async def stored(store: MemoryObjectStore, entry: Entry) -> bytes:
    source = StoredBytes(store=store, tenant="acme").stream(entry)
    return b"".join([piece async for piece in source])


async def test_small_and_large_files_lie_in_packs_and_come_back(tree: LiveTree) -> None:
    contents = {
        b"empty": b"",
        b"large": os.urandom(3 * PACK_BYTES + 1),
        b"small": b"abc",
        b"text": b"text" * 1000,
    }
    for name, content in contents.items():
        (tree.workspace / os.fsdecode(name)).write_bytes(content)
    store = MemoryObjectStore()
    result = await upload(tree, store)
    assert {entry.path: await stored(store, entry) for entry in result.entries} == contents
    assert {entry.path: entry.sha256 for entry in result.entries} == {
        name: hashlib.sha256(content).hexdigest() for name, content in contents.items()
    }
    assert all(key.startswith("tenants/acme/packs/") for key in store.objects)
    assert max(map(len, store.objects.values())) <= PACK_LIMIT_BYTES
    assert (result.stored, result.stored_bytes) == (3, sum(map(len, contents.values())))


async def test_many_small_files_are_few_objects(tree: LiveTree) -> None:
    for number in range(500):
        (tree.workspace / str(number)).write_bytes(b"%d" % number)
    store = MemoryObjectStore()
    result = await upload(tree, store)
    assert (len(store.objects), result.stored, len(result.entries)) == (1, 500, 500)


async def test_the_same_bytes_are_stored_once(tree: LiveTree) -> None:
    for name in "abc":
        (tree.workspace / name).write_bytes(b"same")
    store = MemoryObjectStore()
    result = await upload(tree, store)
    assert (len(store.objects), result.stored, len(result.entries)) == (1, 1, 3)
    assert result.stored_bytes == 4


async def test_known_bytes_are_not_stored_again(tree: LiveTree) -> None:
    (tree.workspace / "small").write_bytes(b"abc")
    (tree.workspace / "large").write_bytes(os.urandom(SMALL_FILE_LIMIT_BYTES + 1))
    first = await upload(tree, MemoryObjectStore())
    store = MemoryObjectStore()
    result = await upload(tree, store, known_of(first.entries, without=NOTHING))
    assert (store.objects, result.stored, result.stored_bytes) == ({}, 0, 0)
    assert {entry.path: entry.parts for entry in result.entries} == {
        entry.path: entry.parts for entry in first.entries
    }


async def test_a_file_that_version_1_stored_stays_in_its_blob(tree: LiveTree) -> None:
    (tree.workspace / "small").write_bytes(b"abc")
    known = Known(files={hashlib.sha256(b"abc").hexdigest(): None})
    store = MemoryObjectStore()
    result = await upload(tree, store, known)
    assert (store.objects, result.entries[0].parts) == ({}, None)


async def test_one_changed_byte_of_a_large_file_sends_less_than_two_mib(tree: LiveTree) -> None:
    content = bytearray(os.urandom(50 * 1024 * 1024))
    path = tree.workspace / "f"
    path.write_bytes(content)
    store = MemoryObjectStore()
    first = await upload(tree, store)
    content[25 * 1024 * 1024] ^= 1
    path.write_bytes(content)
    before = set(store.objects)
    second = await upload(tree, store, known_of(first.entries, without=NOTHING))
    sent = sum(len(store.objects[key]) for key in set(store.objects) - before)
    assert (second.stored, second.stored_bytes) == (1, sent)
    assert sent < 2 * 1024 * 1024
    assert await stored(store, second.entries[0]) == bytes(content)


class Changing:
    """Lets large files change while they are read, so many times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, times: int) -> None:
        self.left = times
        monkeypatch.setattr(LargeFile, "digest", self.digest_of(LargeFile.digest))

    def digest_of(self, real: object) -> object:
        def digest(file: LargeFile) -> str | None:
            if self.left:
                self.left -= 1
                return None
            return real(file)  # type: ignore[operator, no-any-return]

        return digest


@pytest.mark.parametrize(("times", "is_stored"), [(2, True), (3, False)])
async def test_a_large_file_that_changes_under_its_upload_is_read_again(
    tree: LiveTree, monkeypatch: pytest.MonkeyPatch, *, times: int, is_stored: bool
) -> None:
    (tree.workspace / "f").write_bytes(b"x" * (SMALL_FILE_LIMIT_BYTES + 1))
    Changing(monkeypatch, times=times)
    result = await upload(tree, MemoryObjectStore())
    assert [entry.path for entry in result.entries] == ([b"f"] if is_stored else [])
    if not is_stored:
        assert result.left_out[0][1].reason == CHANGING


async def test_no_descriptor_is_left_open(tree: LiveTree, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        (tree.workspace / str(number)).write_bytes(b"%d" % number * (SMALL_FILE_LIMIT_BYTES + 1))
    Changing(monkeypatch, times=20)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only the count matters
    await upload(tree, MemoryObjectStore())
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
