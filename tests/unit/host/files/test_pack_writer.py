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
from hakoiri.host.files.pieces import Block
from hakoiri.host.files.ports import FilesError
from hakoiri.host.files.testing import MemoryObjectStore

pytestmark = pytest.mark.anyio


def piece(content: bytes) -> Piece:
    return hashlib.sha256(content).hexdigest(), content


def block(pieces: list[Piece]) -> Block:
    plain = b"".join(content for _, content in pieces)
    return Block(plain, [(sha256, len(content)) for sha256, content in pieces])


def in_blocks(*blocks: list[Piece]) -> Callable[[], Block | None]:
    waiting = [*map(block, blocks), None]
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
    parts, is_sent = await writer.store_whole(in_blocks([a, b, a], [b, c]))
    assert is_sent
    assert [lies_at(store, part) for part in parts] == [a[1], b[1], a[1], b[1], c[1]]
    assert len(store.objects) == 2
    assert writer.stored_bytes == PACK_BYTES + 2


async def test_what_is_known_is_not_sent() -> None:
    store, known = MemoryObjectStore(), Known()
    a = piece(b"a")
    first, _ = await PackWriter(store=store, tenant="t", known=known).store_whole(in_blocks([a]))
    store.objects.clear()
    writer = PackWriter(store=store, tenant="t", known=known)
    assert await writer.store_whole(in_blocks([a])) == (first, False)
    assert (store.objects, writer.stored_bytes) == ({}, 0)
    assert await writer.store_whole(in_blocks()) == ((), False)


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
    parts, _ = await writer.store_whole(in_blocks(*([one] for one in pieces)))
    assert [lies_at(store, part) for part in parts] == [content for _, content in pieces]
    assert store.most == PACKS_AT_ONCE
    assert len(store.objects) == 40


async def test_a_block_of_new_pieces_is_a_pack_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_writer, "PACK_BYTES", 10)
    store = MemoryObjectStore()
    contents = [b"%06d" % number for number in range(5)]
    a, b, c, d, e = map(piece, contents)
    parts, _ = await PackWriter(store=store, tenant="t", known=Known()).store_whole(
        in_blocks([a, b], [a, c], [d, e])
    )
    assert sorted(store.objects.values()) == [a[1] + b[1], c[1], d[1] + e[1]]
    assert [lies_at(store, part) for part in parts] == [x[1] for x in (a, b, a, c, d, e)]


async def test_of_blocks_that_are_known_in_part_a_pack_is_put_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pack_writer, "PACK_BYTES", 10)
    store, known = MemoryObjectStore(), Known()
    old = [piece(b"old %02d" % number) for number in range(4)]
    new = [piece(b"new %02d" % number) for number in range(4)]
    writer = PackWriter(store=store, tenant="t", known=known)
    await writer.store(list(old))
    parts, _ = await writer.store_whole(in_blocks(*([o, n] for o, n in zip(old, new, strict=True))))
    assert len(store.objects) == 3
    assert [lies_at(store, part) for part in parts] == [
        content for pair in zip(old, new, strict=True) for _, content in pair
    ]
    assert writer.stored_bytes == 8 * 6


async def test_a_file_is_read_no_further_than_packs_have_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While the store takes nothing, memory holds the packs in flight and the next one."""
    monkeypatch.setattr(pack_writer, "PACK_BYTES", 10)
    go_on = asyncio.Event()
    waiting: list[int] = []

    class Stuck(MemoryObjectStore):
        async def put(self, key: str, data: bytes) -> None:
            waiting.append(len(data))
            await go_on.wait()
            await super().put(key, data)

    blocks = [block([piece(b"%010d" % number)]) for number in range(40)]
    left: list[Block | None] = [*blocks, None]
    writer = PackWriter(store=Stuck(), tenant="t", known=Known())
    async with asyncio.TaskGroup() as group:
        work = group.create_task(writer.store_whole(lambda: left.pop(0)))
        while len(waiting) < PACKS_AT_ONCE:
            await asyncio.to_thread(int)
        for _ in range(50):
            await asyncio.to_thread(int)  # whoever could go on would
        read = 40 - (len(left) - 1)
        go_on.set()
    assert read == PACKS_AT_ONCE + 1
    assert waiting == [10] * 40
    assert len(work.result()[0]) == 40


async def test_a_store_that_fails_ends_the_file_with_its_own_error() -> None:
    class Full(MemoryObjectStore):
        async def put(self, key: str, data: bytes) -> None:
            raise FilesError("full")

    writer = PackWriter(store=Full(), tenant="t", known=Known())
    with pytest.raises(FilesError, match="full"):
        await writer.store_whole(in_blocks([piece(os.urandom(PACK_BYTES))], [piece(b"b")]))


async def test_a_file_that_cannot_be_read_on_ends_with_that_error() -> None:
    def next_block() -> Block:
        raise ReadRefusedError("no")

    writer = PackWriter(store=MemoryObjectStore(), tenant="t", known=Known())
    with pytest.raises(ReadRefusedError, match="no"):
        await writer.store_whole(next_block)
