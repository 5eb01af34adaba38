from dataclasses import dataclass

from hakoiri.host.files.packs import (
    FILES_PER_SMALL_PACK,
    SMALL_PACK_BYTES,
    SMALL_PACKS,
    WASTE_FROM_BYTES,
    Pack,
    Part,
    Parts,
    known_of,
    objects_of,
    wasteful_objects,
)


@dataclass(frozen=True)
class Stored:
    size: int
    sha256: str
    parts: Parts
    kind: str = "file"


def pack(name: str, plain_size: int) -> Pack:
    return Pack(name, "none", plain_size, plain_size)


def one(name: str, where: Pack, *, size: int = 10, offset: int = 0) -> Stored:
    return Stored(size, name, (Part(where, offset, size, name),))


FULL = pack("full", 4 * SMALL_PACK_BYTES)


def test_objects_are_packs_or_a_blob() -> None:
    pieces = (Part(FULL, 0, 5, "x"), Part(pack("b", 9), 0, 5, "y"))
    assert objects_of(Stored(10, "s", pieces)) == {"full", "b"}
    assert objects_of(Stored(10, "s", None)) == {"s"}
    assert objects_of(Stored(0, "", None, kind="directory")) == set()


def test_known_are_whole_files_and_pieces_but_for_those_without() -> None:
    pieces = (Part(FULL, 0, 5, "x"), Part(pack("b", 9), 0, 5, "y"))
    blob, large, bad = (
        Stored(3, "blob", None),
        Stored(10, "large", pieces),
        one("bad", pack("w", 9)),
    )
    known = known_of([blob, large, bad, Stored(0, "", None, "symlink")], without=frozenset({"w"}))
    assert known.files == {"blob": None, "large": pieces}
    assert known.pieces == {"x": pieces[0], "y": pieces[1]}


def test_a_pack_is_wasteful_once_more_than_half_of_it_is_dead() -> None:
    half = FULL.plain_size // 2
    assert wasteful_objects([one("a", FULL, size=half)]) == frozenset()
    assert wasteful_objects([one("a", FULL, size=half - 1)]) == {"full"}
    # the same bytes named twice live once
    twice = [one("a", FULL, size=half - 1), one("b", FULL, size=half - 1)]
    assert wasteful_objects(twice) == {"full"}
    both = [one("a", FULL, size=half - 1), one("b", FULL, size=half - 1, offset=half)]
    assert wasteful_objects(both) == frozenset()


def test_dead_bytes_of_a_tiny_pack_do_not_count() -> None:
    assert wasteful_objects([one("a", pack("p", WASTE_FROM_BYTES - 1), size=1)]) == frozenset()
    assert wasteful_objects([one("a", pack("p", WASTE_FROM_BYTES), size=1)]) == {"p"}


def test_many_small_packs_and_small_blobs_are_put_together() -> None:
    few = [one(f"f{number}", pack(f"p{number}", 10)) for number in range(SMALL_PACKS - 1)]
    few.append(Stored(10, "blob", None))
    assert wasteful_objects(few) == frozenset()
    many = [*few, one("more", pack("more", 10)), one("good", FULL, size=FULL.plain_size // 2)]
    assert wasteful_objects(many) == {f"p{n}" for n in range(SMALL_PACKS - 1)} | {"blob", "more"}


def test_small_packs_of_large_files_stay() -> None:
    def edited(number: int) -> Stored:
        parts = (Part(FULL, 0, FULL.plain_size, "x"), Part(pack(f"p{number}", 10), 0, 10, "y"))
        return Stored(FULL.plain_size + 10, f"l{number}", parts)

    assert wasteful_objects([edited(number) for number in range(100)]) == frozenset()


def test_packs_of_very_many_tiny_files_are_not_packed_anew_for_ever() -> None:
    tiny = [
        one(f"{number}", pack(f"p{number // FILES_PER_SMALL_PACK}", FILES_PER_SMALL_PACK), size=1)
        for number in range((SMALL_PACKS + 8) * FILES_PER_SMALL_PACK)
    ]
    assert wasteful_objects(tiny) == frozenset()
