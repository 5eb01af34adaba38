import hashlib
import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.files import pack_codec
from hakoiri.host.files.pack_codec import (
    SAMPLE_BYTES,
    SAMPLES,
    CodecError,
    compress,
    decompress,
    seal,
    seal_sampled,
    unseal,
    unseal_unchecked,
)

TEXT = b"def main() -> None: pass\n" * 1000
NOISE = b"N" + os.urandom(9_999)


def test_what_shrinks_is_compressed_and_what_does_not_is_kept() -> None:
    pack, stored = seal(TEXT)
    assert (pack.coding, pack.plain_size, pack.size) == ("zstd", len(TEXT), len(stored))
    assert len(stored) < len(TEXT) / 4
    assert pack.id == hashlib.sha256(stored).hexdigest()
    pack, stored = seal(NOISE)
    assert (pack.coding, stored) == ("none", NOISE)


LARGE = 4 * SAMPLES * SAMPLE_BYTES


@pytest.mark.parametrize(
    ("plain", "tried"),
    [
        (os.urandom(LARGE), [SAMPLES * SAMPLE_BYTES]),
        ((TEXT * 21)[:LARGE], [SAMPLES * SAMPLE_BYTES, LARGE]),
        (NOISE, [len(NOISE)]),
    ],
    ids=["noise", "text", "too small to be sampled"],
)
def test_what_samples_say_cannot_shrink_is_not_compressed(
    plain: bytes, tried: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def watched(content: bytes) -> bytes:
        seen.append(len(content))
        return compress(content)

    expected = seal(plain)
    monkeypatch.setattr(pack_codec, "compress", watched)
    assert seal_sampled(plain) == expected
    assert seen == tried


def test_samples_are_taken_from_all_over() -> None:
    half = os.urandom(LARGE // 2)
    for plain in (bytes(LARGE // 2) + half, half + bytes(LARGE // 2)):
        pack, _ = seal_sampled(plain)
        assert pack.coding == "zstd"


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


def test_the_decoder_is_only_given_what_was_checked() -> None:
    pack, stored = seal(TEXT)
    assert unseal_unchecked(pack, stored) == TEXT
    with pytest.raises(CodecError, match="other bytes"):
        unseal_unchecked(pack, stored[:-1] + bytes([stored[-1] ^ 1]))


@pytest.mark.parametrize("damage", [NOISE[:-1], NOISE + b"x", b""])
def test_what_is_not_checked_has_its_size_all_the_same(damage: bytes) -> None:
    pack, stored = seal(NOISE)
    assert unseal_unchecked(pack, stored) == NOISE
    with pytest.raises(CodecError, match="other bytes"):
        unseal_unchecked(pack, damage)


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
