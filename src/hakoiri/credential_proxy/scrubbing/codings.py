"""Reading answers that are compressed, in bounded memory."""

import zlib
from collections.abc import Iterator
from typing import Final

from hakoiri.credential_proxy.errors import UpstreamError

READABLE: Final = frozenset({"gzip", "x-gzip", "deflate"})
SLICE_BYTES: Final = 256 * 1024
"""At most this much is decoded at a time, however much it was compressed."""

_MEMBERS_PIECE_BYTES: Final = 4096
"""zlib copies what follows each gzip member: of many small ones in a long piece that is a square.
256 KiB of empty members took 1.3 s at once, and 40 ms in pieces."""

BOMB_BYTES: Final = 64 * 1024 * 1024
BOMB_RATIO: Final = 200
"""More than both, and it is taken for a decompression bomb: text compresses 3 to 20 times."""

_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS
_RAW: Final = -zlib.MAX_WBITS
_ZLIB_METHOD: Final = 8


class Inflater:
    """Decodes gzip (RFC 1952, several members too) or deflate, with or without its wrapper."""

    def __init__(self, coding: str) -> None:
        self._is_gzip = coding != "deflate"
        self._decoder = zlib.decompressobj(_GZIP_OR_ZLIB) if self._is_gzip else None
        self._taken = 0
        self._given = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` decodes to, in slices.

        Raises:
            UpstreamError: it is not sound, or a bomb.
        """
        for at in range(0, len(data), _MEMBERS_PIECE_BYTES):
            yield from self._feed(data[at : at + _MEMBERS_PIECE_BYTES])

    def _feed(self, data: bytes) -> Iterator[bytes]:
        self._taken += len(data)
        while data:
            decoder = self._decoder
            if decoder is None:
                is_wrapped = data[0] & 0x0F == _ZLIB_METHOD
                decoder = zlib.decompressobj(_GZIP_OR_ZLIB if is_wrapped else _RAW)
                self._decoder = decoder
            try:
                piece = decoder.decompress(data, SLICE_BYTES)
            except zlib.error as error:
                raise _broken() from error
            if piece:
                self._given += len(piece)
                if self._given > BOMB_BYTES and self._given > self._taken * BOMB_RATIO:
                    raise UpstreamError("upstream-bomb", "the answer decompresses without end")
                yield piece
            data = self._rest(decoder, has_given=bool(piece))

    def _rest(self, decoder: "zlib._Decompress", *, has_given: bool) -> bytes:
        if not decoder.eof:
            return decoder.unconsumed_tail if has_given or decoder.unconsumed_tail else b""
        if self._is_gzip and decoder.unused_data.strip(b"\0"):
            self._decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
            return decoder.unused_data
        return b""

    def finish(self) -> None:
        """Check that the end was reached.

        Raises:
            UpstreamError: it was not.
        """
        if self._taken and (self._decoder is None or not self._decoder.eof):
            raise _broken()


def _broken() -> UpstreamError:
    return UpstreamError("upstream-broken", "the answer's compression is not sound")


def narrow_accept_encoding(value: str) -> str:
    """Return `Accept-Encoding` without the codings that could not be read here."""
    kept = [
        item.strip()
        for item in value.split(",")
        if item.partition(";")[0].strip().lower() in READABLE | {"identity"}
    ]
    return ", ".join(kept) or "identity"
