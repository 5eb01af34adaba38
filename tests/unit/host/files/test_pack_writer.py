import hashlib
import os
from collections.abc import Callable

import pytest

from hakoiri.host.files.pack_codec import unseal
from hakoiri.host.files.pack_writer import PackWriter, Piece
from hakoiri.host.files.packs import PACK_BYTES, Known, Part
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
