import pytest
from structlog.testing import capture_logs

from hakoiri.host.files.archive import StoreWithArchive
from hakoiri.host.files.ports import FilesError, ObjectMissingError
from hakoiri.host.files.testing import MemoryObjectStore

pytestmark = pytest.mark.anyio

KEY = "tenants/acme/packs/ab/1"


async def test_what_lies_in_the_archive_is_brought_back_and_told() -> None:
    store = MemoryObjectStore()
    whole = StoreWithArchive(store)
    await whole.put(KEY, b"bytes")
    await store.archive(KEY)
    with capture_logs() as logs:
        assert await whole.get(KEY, limit_bytes=9) == b"bytes"
    assert [(log["event"], log["object"]) for log in logs] == [("brought_back_from_archive", KEY)]
    assert KEY in store.objects
    await store.archive(KEY)
    assert [chunk async for chunk in whole.stream(KEY)] == [b"bytes"]
    await whole.check()


async def test_what_is_nowhere_is_missing() -> None:
    whole = StoreWithArchive(MemoryObjectStore())
    with pytest.raises(ObjectMissingError):
        await whole.get(KEY, limit_bytes=9)
    with pytest.raises(ObjectMissingError):
        await anext(whole.stream(KEY))


async def test_an_empty_object_is_streamed_as_one() -> None:
    store = MemoryObjectStore()
    await store.put(KEY, b"")
    assert [chunk async for chunk in StoreWithArchive(store).stream(KEY)] == []


class Glacier(MemoryObjectStore):
    async def bring_back(self, key: str) -> None:
        raise FilesError("InvalidObjectState")


async def test_an_archive_that_gives_nothing_now_says_what_to_do() -> None:
    store = Glacier()
    await store.put(KEY, b"bytes")
    await store.archive(KEY)
    with pytest.raises(FilesError, match=r"lies in the archive.*InvalidObjectState.*restore-obj"):
        await StoreWithArchive(store).get(KEY, limit_bytes=9)
