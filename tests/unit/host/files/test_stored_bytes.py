import hashlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.files.keys import blob_key, pack_key
from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.pack_codec import seal
from hakoiri.host.files.packs import Part
from hakoiri.host.files.ports import DamagedError
from hakoiri.host.files.stored_bytes import StoredBytes
from hakoiri.host.files.testing import MemoryObjectStore

pytestmark = pytest.mark.anyio

PIECES = (b"first piece ", b"second", b" and the third one")
WHOLE = b"".join(PIECES)


class Counting(MemoryObjectStore):
    """Counts what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[str] = []

    async def get(self, key: str, *, limit_bytes: int) -> bytes:
        self.got.append(key)
        return await super().get(key, limit_bytes=limit_bytes)


def sha_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def file_in_packs(store: MemoryObjectStore, *, packs: list[tuple[bytes, ...]]) -> Entry:
    """Store each tuple of pieces as a pack; return a file of all of them."""
    parts: list[Part] = []
    for pieces in packs:
        plain = b"before" + b"".join(pieces)
        pack, stored = seal(plain)
        store.objects[pack_key("acme", pack.id)] = stored
        offset = len(b"before")
        for piece in pieces:
            parts.append(Part(pack, offset, len(piece), sha_of(piece)))
            offset += len(piece)
    whole = b"".join(piece for pieces in packs for piece in pieces)
    return Entry("workspace", b"f", "file", 0o644, 5, len(whole), sha_of(whole), parts=tuple(parts))


def file_in_blob(store: MemoryObjectStore) -> Entry:
    store.objects[blob_key("acme", sha_of(WHOLE))] = WHOLE
    return Entry("workspace", b"f", "file", 0o644, 5, size=len(WHOLE), sha256=sha_of(WHOLE))


async def read(
    store: MemoryObjectStore, entry: Entry, *, start: int = 0, end: int | None = None
) -> bytes:
    source = StoredBytes(store=store, tenant="acme").stream(entry, start=start, end=end)
    return b"".join([piece async for piece in source])


@given(
    start=st.integers(0, len(WHOLE) + 5),
    end=st.none() | st.integers(0, len(WHOLE) + 5),
    in_blob=st.booleans(),
)
async def test_any_range_is_that_of_the_whole(
    *, start: int, end: int | None, in_blob: bool
) -> None:
    store = MemoryObjectStore()
    packs = [PIECES[:2], PIECES[2:]]
    entry = file_in_blob(store) if in_blob else file_in_packs(store, packs=packs)
    assert await read(store, entry, start=start, end=end) == WHOLE[start:end]


async def test_only_the_packs_of_a_range_are_read_and_each_once() -> None:
    store = Counting()
    entry = file_in_packs(store, packs=[PIECES[:2], PIECES[2:]])
    assert entry.parts is not None
    first, second = entry.parts[0].pack, entry.parts[2].pack
    await read(store, entry)
    assert store.got == [pack_key("acme", first.id), pack_key("acme", second.id)]
    store.got.clear()
    assert await read(store, entry, start=20, end=21) == WHOLE[20:21]
    assert store.got == [pack_key("acme", second.id)]


async def test_a_damaged_pack_is_named_before_a_byte_of_it_is_given() -> None:
    store = MemoryObjectStore()
    entry = file_in_packs(store, packs=[PIECES])
    assert entry.parts is not None
    pack = entry.parts[0].pack
    key = pack_key("acme", pack.id)
    for damage, said in (
        (store.objects[key][:-1], "holds other bytes"),
        (b"X" + store.objects[key][1:], "holds other bytes"),
        (store.objects[key] + b"x", "is longer than it was"),
    ):
        store.objects[key] = damage
        with pytest.raises(DamagedError, match=f"workspace/f: pack {pack.id} {said}"):
            await anext(StoredBytes(store=store, tenant="acme").stream(entry))
        entry = file_in_packs(store, packs=[PIECES])
    del store.objects[key]
    with pytest.raises(DamagedError, match=f"workspace/f: pack {pack.id} is missing"):
        await read(store, entry)


async def test_a_part_at_another_place_than_its_piece_is_told() -> None:
    store = MemoryObjectStore()
    entry = file_in_packs(store, packs=[(b"abc",)])
    assert entry.parts is not None
    part = entry.parts[0]
    moved = Part(part.pack, part.offset - 1, part.length, part.sha256)
    odd = Entry("workspace", b"f", "file", 0o644, 5, 3, entry.sha256, parts=(moved,))
    with pytest.raises(DamagedError, match="holds other bytes"):
        await read(store, odd)


async def test_pieces_that_are_not_the_whole_are_told() -> None:
    store = MemoryObjectStore()
    entry = file_in_packs(store, packs=[PIECES])
    assert entry.parts is not None
    odd = Entry(
        "workspace", b"f", "file", 0o644, 5, len(WHOLE), entry.sha256, parts=entry.parts[::-1]
    )
    with pytest.raises(DamagedError, match="holds other bytes"):
        await read(store, odd)


async def test_an_endless_blob_is_cut_off_at_the_size_it_had() -> None:
    asked = 0

    class Endless(MemoryObjectStore):
        async def stream(self, key: str) -> AsyncIterator[bytes]:
            nonlocal asked
            while asked < 100:
                asked += 1
                yield bytes(10)

    with pytest.raises(DamagedError, match="longer than it was"):
        await read(Endless(), file_in_blob(MemoryObjectStore()))
    assert asked == len(WHOLE) // 10 + 1
