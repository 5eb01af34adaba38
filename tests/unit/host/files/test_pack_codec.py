import hashlib
import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.files.pack_codec import CodecError, compress, decompress, seal, unseal

TEXT = b"def main() -> None: pass\n" * 1000
NOISE = os.urandom(10_000)


def test_what_shrinks_is_compressed_and_what_does_not_is_kept() -> None:
    pack, stored = seal(TEXT)
    assert (pack.coding, pack.plain_size, pack.size) == ("zstd", len(TEXT), len(stored))
    assert len(stored) < len(TEXT) / 4
    assert pack.id == hashlib.sha256(stored).hexdigest()
    pack, stored = seal(NOISE)
    assert (pack.coding, stored) == ("none", NOISE)


@given(st.binary(min_size=1, max_size=3000).map(lambda data: data * 3))
def test_what_is_sealed_comes_back(plain: bytes) -> None:
    pack, stored = seal(plain)
    assert unseal(pack, stored) == plain


@pytest.mark.parametrize("plain", [TEXT, NOISE], ids=["zstd", "none"])
def test_any_changed_byte_is_seen(plain: bytes) -> None:
    pack, stored = seal(plain)
    for damage in (b"X" + stored[1:], stored[:-1], stored + b"x", b""):
        with pytest.raises(CodecError, match="other bytes"):
            unseal(pack, damage)


def test_a_pack_that_is_not_what_its_manifest_says_is_refused() -> None:
    pack, stored = seal(TEXT)
    with pytest.raises(CodecError, match="longer"):
        unseal(replace(pack, plain_size=len(TEXT) - 1), stored)
    with pytest.raises(CodecError, match="other bytes"):
        unseal(replace(pack, plain_size=len(TEXT) + 1), stored)


def test_a_bomb_is_not_unpacked_beyond_the_limit() -> None:
    bomb = compress(bytes(64 * 1024 * 1024))
    assert len(bomb) < 10_000
    with pytest.raises(CodecError, match="longer"):
        decompress(bomb, limit_bytes=1024)


@pytest.mark.parametrize("odd", [b"", b"no zstd", compress(TEXT)[:-3], compress(TEXT) + b"more"])
def test_what_is_not_one_whole_frame_is_refused(odd: bytes) -> None:
    with pytest.raises(CodecError):
        decompress(odd, limit_bytes=len(TEXT))


def test_the_limit_itself_passes() -> None:
    assert decompress(compress(TEXT), limit_bytes=len(TEXT)) == TEXT
