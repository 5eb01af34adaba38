import pytest

from hakoiri.host.files.ports import (
    Named,
    ObjectMissingError,
    ObjectStore,
    ObjectTooLargeError,
    StaleGenerationError,
    WorkspaceHead,
    WorkspaceHeads,
)
from hakoiri.host.files.testing import MemoryHeads, MemoryObjectStore

pytestmark = pytest.mark.anyio

NOTHING = Named(frozenset())


async def test_the_store_answers_as_the_port_says() -> None:
    store: ObjectStore = MemoryObjectStore()
    await store.put("k", b"abc")
    assert await store.get("k", limit_bytes=3) == b"abc"
    assert [chunk async for chunk in store.stream("k")] == [b"abc"]
    await store.check()
    with pytest.raises(ObjectTooLargeError):
        await store.get("k", limit_bytes=2)
    with pytest.raises(ObjectMissingError):
        await store.get("other", limit_bytes=2)
    with pytest.raises(ObjectMissingError):
        await anext(aiter(store.stream("other")))


async def test_heads_move_forward_only() -> None:
    heads: WorkspaceHeads = MemoryHeads()
    assert await heads.head("ws") is None
    second = WorkspaceHead("rp-2", generation=2, event_number=5)
    await heads.move_head("ws", second, NOTHING)
    with pytest.raises(StaleGenerationError):
        await heads.move_head("ws", WorkspaceHead("rp-1", generation=1, event_number=9), NOTHING)
    assert await heads.head("ws") == second
