import hashlib
import os

import pytest
from tests.unit.host.files.trees import a_second_later

from hakoiri.host.files.file_reader import SMALL_FILE_LIMIT_BYTES, FileReader, GrowthBudget
from hakoiri.host.files.plan import Found
from hakoiri.host.files.ports import ContentChangedError, LiveTree
from hakoiri.host.files.scan import CHANGING, ScanLimits, scan
from hakoiri.host.files.testing import MemoryObjectStore
from hakoiri.host.files.upload import Upload, Uploaded

pytestmark = pytest.mark.anyio


class ChangingStore(MemoryObjectStore):
    """Whose first uploads of open files find them changed."""

    def __init__(self, *, times: int) -> None:
        super().__init__()
        self.left = times

    async def put_file(self, key: str, descriptor: int, size: int, *, sha256: str) -> None:
        if self.left:
            self.left -= 1
            raise ContentChangedError
        await super().put_file(key, descriptor, size, sha256=sha256)


def found_in(tree: LiveTree) -> list[Found]:
    return list(scan(tree, limits=ScanLimits(), monotonic=lambda: 0.0).found)


async def upload(
    tree: LiveTree, store: MemoryObjectStore, known: set[str] | None = None
) -> Uploaded:
    reader = FileReader(
        tree=tree, limits=ScanLimits(), budget=GrowthBudget(2**30), wall_ns=a_second_later
    )
    work = Upload(store=store, tenant="acme", reader=reader, known=known or set())
    return await work.run(found_in(tree))


async def test_small_and_large_files_lie_under_their_hashes(tree: LiveTree) -> None:
    contents = {"small": b"abc", "large": os.urandom(SMALL_FILE_LIMIT_BYTES + 1)}
    for name, content in contents.items():
        (tree.workspace / name).write_bytes(content)
    store = MemoryObjectStore()
    result = await upload(tree, store)
    hashes = {hashlib.sha256(content).hexdigest(): content for content in contents.values()}
    assert store.objects == {
        f"tenants/acme/blobs/{sha[:2]}/{sha}": content for sha, content in hashes.items()
    }
    assert (result.stored, result.stored_bytes) == (2, SMALL_FILE_LIMIT_BYTES + 4)


async def test_the_same_bytes_are_stored_once(tree: LiveTree) -> None:
    for name in "abc":
        (tree.workspace / name).write_bytes(b"same")
    store = MemoryObjectStore()
    result = await upload(tree, store)
    assert (len(store.objects), result.stored, len(result.entries)) == (1, 1, 3)


async def test_known_bytes_are_not_stored_again(tree: LiveTree) -> None:
    large = b"x" * (SMALL_FILE_LIMIT_BYTES + 1)
    (tree.workspace / "small").write_bytes(b"abc")
    (tree.workspace / "large").write_bytes(large)
    store = MemoryObjectStore()
    known = {hashlib.sha256(content).hexdigest() for content in (b"abc", large)}
    result = await upload(tree, store, known)
    assert (store.objects, result.stored, len(result.entries)) == ({}, 0, 2)


async def test_a_large_file_that_changes_under_its_upload_is_read_again(tree: LiveTree) -> None:
    (tree.workspace / "f").write_bytes(b"x" * (SMALL_FILE_LIMIT_BYTES + 1))
    assert (await upload(tree, ChangingStore(times=2))).stored == 1
    result = await upload(tree, ChangingStore(times=3))
    assert (result.stored, result.entries) == (0, [])
    assert result.left_out[0][1].reason == CHANGING


async def test_no_descriptor_is_left_open(tree: LiveTree) -> None:
    for number in range(10):
        (tree.workspace / str(number)).write_bytes(b"%d" % number * (SMALL_FILE_LIMIT_BYTES + 1))
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only the count matters
    await upload(tree, ChangingStore(times=20))
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
