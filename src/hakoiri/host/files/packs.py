"""Where the bytes of files lie: pieces in packs, and which packs are worth being packed anew. Pure.

A small file is one piece; a large one is cut into several. Pieces stand one after the other in
packs of some MiB, which are what the store holds: ten thousand small files are a few objects.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol

PACK_BYTES = 4 * 1024 * 1024
"""A pack is closed once it holds so many bytes of pieces."""

PACK_LIMIT_BYTES = 16 * 1024 * 1024
"""What a reader accepts of one pack, as bytes of pieces and as stored."""

SMALL_PACK_BYTES = 1024 * 1024
SMALL_PACKS = 32
"""So many small packs may gather, one for each save, before they are put together."""

FILES_PER_SMALL_PACK = 4096
"""Of files that are tiny each, this many more are worth one more small pack."""

WASTE_FROM_BYTES = 64 * 1024
"""In a pack below this size, dead bytes cost less than packing anew."""

Coding = Literal["none", "zstd"]


@dataclass(frozen=True, slots=True)
class Pack:
    """One object of the store. `id` is the SHA-256 of its bytes as stored, `size` their number.

    `plain_size` is what they are once decoded.
    """

    id: str
    coding: Coding
    plain_size: int
    size: int


@dataclass(frozen=True, slots=True)
class Part:
    """`length` bytes of a file, with the hash `sha256`, at `offset` in a decoded pack."""

    pack: Pack
    offset: int
    length: int
    sha256: str


Parts = tuple[Part, ...] | None
"""A file's parts in order, none if it is empty; None if it is a blob of its own (version 1)."""


class Stored(Protocol):
    """What is asked of an entry of a manifest."""

    @property
    def kind(self) -> str:
        """Only files have bytes."""

    @property
    def size(self) -> int:
        """Bytes of the whole file."""

    @property
    def sha256(self) -> str:
        """Hash of the whole file."""

    @property
    def parts(self) -> Parts:
        """Where they lie."""


@dataclass(slots=True)
class Known:
    """Bytes that are certainly in the store, by their hash: whole files and pieces.

    Only what a committed recovery point names is certain: an object that merely exists may be the
    torn remains of a crash of the host, so it is written again.
    """

    files: dict[str, Parts] = field(default_factory=dict)
    pieces: dict[str, Part] = field(default_factory=dict)

    def note(self, entry: Stored) -> None:
        """Take note of a stored file."""
        self.files[entry.sha256] = entry.parts
        for part in entry.parts or ():
            self.pieces[part.sha256] = part


def known_of(entries: Iterable[Stored], *, without: frozenset[str]) -> Known:
    """Return what the entries know to be stored, but for what lies in the objects `without`."""
    known = Known()
    for entry in entries:
        if entry.kind == "file" and (not without or without.isdisjoint(objects_of(entry))):
            known.note(entry)
    return known


def objects_of(entry: Stored) -> set[str]:
    """Return the ids of the packs that hold a file, or its hash if it is a blob of its own."""
    if entry.parts is None:
        return {entry.sha256} if entry.kind == "file" else set()
    return {part.pack.id for part in entry.parts}


def wasteful_objects(entries: Iterable[Stored]) -> frozenset[str]:
    """Return ids of packs, and blobs, whose live bytes should be stored anew with what changed.

    Packs of which more than half is no longer named, and small packs of whole files once there are
    many. Each file is moved at most once for each time that as much was written, so saves stay
    proportional to what changes.
    """
    live: dict[str, dict[int, int]] = {}  # lengths by offset, so that what is shared counts once
    packs: dict[str, Pack] = {}
    small: set[str] = set()
    small_files = 0
    for entry in entries:
        if entry.kind != "file" or not entry.size:
            continue
        if entry.size <= SMALL_PACK_BYTES:
            small_files += 1
            if entry.parts is None:
                small.add(entry.sha256)
        for part in entry.parts or ():
            pack = part.pack
            if pack.id not in packs:
                packs[pack.id], live[pack.id] = pack, {}
            live[pack.id][part.offset] = part.length
            if entry.size <= SMALL_PACK_BYTES and pack.plain_size < SMALL_PACK_BYTES:
                small.add(pack.id)
    half_dead = {
        pack.id
        for pack in packs.values()
        if pack.plain_size >= WASTE_FROM_BYTES and sum(live[pack.id].values()) * 2 < pack.plain_size
    }
    are_many = len(small) > SMALL_PACKS + small_files // FILES_PER_SMALL_PACK
    return frozenset(half_dead | small if are_many else half_dead)
