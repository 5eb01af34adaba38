"""Packs and manifests as bytes: compressed where it pays, and checked on the way back. No I/O."""

import hashlib
import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from hakoiri.host.files.packs import PACK_LIMIT_BYTES, Pack
from hakoiri.host.files.ports import FilesError

LEVEL = 1
"""zstd's fastest ordinary level: some hundred MiB/s, and source code still shrinks to a quarter."""

WORTH_IT = 0.95
"""What does not shrink below this share is kept as it is, and read without decoding."""

SAMPLES = 16
SAMPLE_BYTES = 8 * 1024
"""So many samples of so many bytes tell whether a pack of a large file is worth compressing."""


class CodecError(FilesError):
    """The bytes are not what was stored; the message says how."""


def seal(plain: bytes) -> tuple[Pack, bytes]:
    """Return a pack of these bytes, and the bytes to store."""
    compressed = compress(plain)
    return _sealed(plain, compressed if _is_worth_it(compressed, plain) else None)


def seal_sampled(plain: bytes) -> tuple[Pack, bytes]:
    """Do as `seal`, but compress only if samples of the bytes shrink: for what is all of a kind."""
    step = len(plain) // SAMPLES
    if step > SAMPLE_BYTES:
        view = memoryview(plain)
        sample = b"".join(view[n * step : n * step + SAMPLE_BYTES] for n in range(SAMPLES))
        if not _is_worth_it(compress(sample), sample):
            return _sealed(plain, None)
    return seal(plain)


def unseal(pack: Pack, stored: bytes) -> bytes:
    """Return a pack's plain bytes; `CodecError` if a single stored byte is another."""
    if len(stored) != pack.size or hashlib.sha256(stored).hexdigest() != pack.id:
        raise CodecError("holds other bytes")
    if pack.coding == "none":
        return stored
    plain = decompress(stored, limit_bytes=min(pack.plain_size, PACK_LIMIT_BYTES))
    if len(plain) != pack.plain_size:
        raise CodecError("holds other bytes")
    return plain


def unseal_unchecked(pack: Pack, stored: bytes) -> bytes:
    """Do as `unseal`, but leave it to the caller to check what needs no decoding.

    The decoder is only ever given bytes that are known to be its encoder's.
    """
    if pack.coding == "none" and len(stored) == pack.size:
        return stored
    return unseal(pack, stored)


def _is_worth_it(compressed: bytes, plain: bytes) -> bool:
    return len(compressed) < WORTH_IT * len(plain)


def _sealed(plain: bytes, compressed: bytes | None) -> tuple[Pack, bytes]:
    stored = plain if compressed is None else compressed
    pack = Pack(
        id=hashlib.sha256(stored).hexdigest(),
        coding="none" if compressed is None else "zstd",
        plain_size=len(plain),
        size=len(stored),
    )
    return pack, stored


def compress(plain: bytes) -> bytes:
    """Return one zstd frame."""
    return zstd.compress(plain, LEVEL)


def decompress(compressed: bytes, *, limit_bytes: int) -> bytes:
    """Return the bytes of one zstd frame; `CodecError` if it is none, or holds more."""
    decoder = zstd.ZstdDecompressor()
    try:
        plain = decoder.decompress(compressed, limit_bytes + 1)
    except zstd.ZstdError as error:
        raise CodecError(f"cannot be decoded: {error}") from error
    if len(plain) > limit_bytes:
        raise CodecError("is longer than it was")
    if not decoder.eof or decoder.unused_data:
        raise CodecError("is not one whole frame")
    return plain
