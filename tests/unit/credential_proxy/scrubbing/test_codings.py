import gzip
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.errors import UpstreamError
from hakoiri.credential_proxy.scrubbing import codings
from hakoiri.credential_proxy.scrubbing.codings import (
    SLICE_BYTES,
    Inflater,
    narrow_accept_encoding,
)


def inflate(coding: str, *chunks: bytes) -> bytes:
    inflater = Inflater(coding)
    given = b"".join(piece for chunk in chunks for piece in inflater.feed(chunk))
    inflater.finish()
    return given


def raw_deflate(data: bytes) -> bytes:
    coder = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return coder.compress(data) + coder.flush()


@given(data=st.binary(max_size=2000), size=st.integers(1, 300))
def test_each_coding_is_read_however_it_is_split(data: bytes, size: int) -> None:
    two = gzip.compress(data) + gzip.compress(b"second")
    for coding, coded, wanted in (
        ("gzip", gzip.compress(data), data),
        ("x-gzip", two, data + b"second"),
        ("deflate", zlib.compress(data), data),
    ):
        chunks = [coded[at : at + size] for at in range(0, len(coded), size)]
        assert inflate(coding, *chunks) == wanted


def test_deflate_without_its_wrapper_is_read() -> None:
    assert inflate("deflate", raw_deflate(b"hello" * 100)) == b"hello" * 100


def test_much_that_was_compressed_comes_in_slices() -> None:
    inflater = Inflater("gzip")
    coded = gzip.compress(bytes(8 * 1024 * 1024))
    sizes = [len(piece) for piece in inflater.feed(coded)]
    assert sum(sizes) == 8 * 1024 * 1024
    assert max(sizes) <= SLICE_BYTES


def test_a_bomb_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codings, "BOMB_BYTES", 1024 * 1024)
    with pytest.raises(UpstreamError) as cut:
        inflate("gzip", gzip.compress(bytes(32 * 1024 * 1024)))
    assert cut.value.code == "upstream-bomb"


@pytest.mark.parametrize(
    ("coding", "coded"),
    [
        ("gzip", b"not gzip"),
        ("gzip", gzip.compress(b"hello" * 100, mtime=0)[:-9]),
        ("gzip", gzip.compress(b"hello", mtime=0) + b"trailing"),
        ("gzip", gzip.compress(b"hello", mtime=0)[:-8] + bytes(8)),
        ("deflate", b"\x07\xff\xff"),
    ],
)
def test_what_is_not_sound_is_an_error(coding: str, coded: bytes) -> None:
    with pytest.raises(UpstreamError):
        inflate(coding, coded)


def test_an_empty_body_has_no_coding() -> None:
    assert inflate("gzip") == b""


@pytest.mark.parametrize(
    ("offered", "narrowed"),
    [
        ("gzip, deflate, br, zstd", "gzip, deflate"),
        ("br", "identity"),
        ("*", "identity"),
        ("", "identity"),
        ("GZIP;q=0.5, identity", "GZIP;q=0.5, identity"),
    ],
)
def test_only_what_can_be_read_is_asked_for(offered: str, narrowed: str) -> None:
    assert narrow_accept_encoding(offered) == narrowed


def test_members_are_read_in_pieces_that_do_not_cost_a_square(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left: list[int] = []
    rest = Inflater._rest

    def watched(self: Inflater, decoder: Any, *, has_given: bool) -> bytes:
        left.append(len(decoder.unused_data))
        return rest(self, decoder, has_given=has_given)

    monkeypatch.setattr(Inflater, "_rest", watched)
    members = gzip.compress(b"x") * 5000 + gzip.compress(b"end")
    assert b"".join(Inflater("gzip").feed(members)) == b"x" * 5000 + b"end"
    assert max(left) <= 4096
