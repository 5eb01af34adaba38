import asyncio
import hashlib
import os
from collections.abc import Callable

import pytest

from hakoiri.host.files import pack_writer
from hakoiri.host.files.file_reader import ReadRefusedError
from hakoiri.host.files.pack_codec import unseal
from hakoiri.host.files.pack_writer import PACKS_AT_ONCE, PackWriter, Piece
from hakoiri.host.files.packs import PACK_BYTES, Known, Part
from hakoiri.host.files.ports import FilesError
from hakoiri.host.files.testing import MemoryObjectStore

pytestmark = pytest.mark.anyio


def piece(content: bytes) -> Piece:
    return hashlib.sha256(content).hexdigest(), content


def from_windows(*windows: list[Piece]) -> Callable[[], list[Piece]]:
    waiting = [*windows, []]
    return lambda: waiting.pop(0)


def lies_at(store: MemoryObjectStore, part: Part) -> bytes:
    stored = store.objects[f"tenants/t/packs/{part.pack.id[:2]}/{part.pack.id}"]
    return unseal(part.pack, stored)[part.offset : part.offset + part.length]


async def test_each_piece_is_where_its_part_says() -> None:
    store, known = MemoryObjectStore(), Known()
    writer = PackWriter(store=store, tenant="t", known=known)
    contents = [b"one", b"", b"three"]
    parts = await writer.store([piece(content) for content in contents])
    assert [lies_at(store, part) for part in parts] == contents
    assert [known.pieces[part.sha256] for part in parts] == parts
    assert (len(store.objects), writer.stored_bytes) == (1, 8)
    assert await writer.store([]) == []
    assert len(store.objects) == 1


async def test_a_whole_file_is_its_parts_in_order_and_each_piece_is_sent_once() -> None:
    store = MemoryObjectStore()
    writer = PackWriter(store=store, tenant="t", known=Known())
    a, b, c = piece(os.urandom(PACK_BYTES)), piece(b"b"), piece(b"c")
    parts, is_sent = await writer.store_whole(from_windows([a, b, a], [b, c]))
    assert is_sent
    assert [lies_at(store, part) for part in parts] == [a[1], b[1], a[1], b[1], c[1]]
    assert len(store.objects) == 2
    assert writer.stored_bytes == PACK_BYTES + 2


async def test_what_is_known_is_not_sent() -> None:
    store, known = MemoryObjectStore(), Known()
    a = piece(b"a")
    first, _ = await PackWriter(store=store, tenant="t", known=known).store_whole(from_windows([a]))
    store.objects.clear()
    writer = PackWriter(store=store, tenant="t", known=known)
    assert await writer.store_whole(from_windows([a])) == (first, False)
    assert (store.objects, writer.stored_bytes) == ({}, 0)
    assert await writer.store_whole(from_windows()) == ((), False)


async def test_a_pack_that_a_crash_has_torn_is_written_again() -> None:
    """What lies in the store and no manifest names is not trusted to be whole."""
    store = MemoryObjectStore()
    a = piece(b"content of a file")
    await PackWriter(store=store, tenant="t", known=Known()).store([a])
    [key] = store.objects
    whole, store.objects[key] = store.objects[key], b"torn"
    await PackWriter(store=store, tenant="t", known=Known()).store([a])
    assert store.objects == {key: whole}


class Slow(MemoryObjectStore):
    """Lets others go first at each write, and counts how many are in flight."""

    def __init__(self) -> None:
        super().__init__()
        self.in_flight = self.most = 0

    async def put(self, key: str, data: bytes) -> None:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        for _ in range(20):
            await asyncio.to_thread(int)  # others go first
        await super().put(key, data)
        self.in_flight -= 1


async def test_several_packs_of_one_file_are_in_flight_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pack_writer, "PACK_BYTES", 10)
    pieces = [piece(b"%010d" % number) for number in range(40)]
    store = Slow()
    writer = PackWriter(store=store, tenant="t", known=Known())
    parts, _ = await writer.store_whole(from_windows(*([one] for one in pieces)))
    assert [lies_at(store, part) for part in parts] == [content for _, content in pieces]
    assert store.most == PACKS_AT_ONCE
    assert len(store.objects) == 40


async def test_a_store_that_fails_ends_the_file_with_its_own_error() -> None:
    class Full(MemoryObjectStore):
        async def put(self, key: str, data: bytes) -> None:
            raise FilesError("full")

    writer = PackWriter(store=Full(), tenant="t", known=Known())
    with pytest.raises(FilesError, match="full"):
        await writer.store_whole(from_windows([piece(os.urandom(PACK_BYTES))], [piece(b"b")]))


async def test_a_file_that_cannot_be_read_on_ends_with_that_error() -> None:
    def next_pieces() -> list[Piece]:
        raise ReadRefusedError("no")

    writer = PackWriter(store=MemoryObjectStore(), tenant="t", known=Known())
    with pytest.raises(ReadRefusedError, match="no"):
        await writer.store_whole(next_pieces)
