"""Cuts large files where their content says so: a byte put in shifts no cut but those beside it.

FastCDC (Xia et al., 2020, https://ieeexplore.ieee.org/document/9055082). Where the cuts lie is no
part of the format: other cuts only mean that less is found to be stored already.
"""

from dataclasses import dataclass

from pyfastcdc import FastCDC

LEAST_BYTES = 128 * 1024
USUAL_BYTES = 256 * 1024
"""FastCDC's parameter; the average lies near the least and this together."""

MOST_BYTES = 1024 * 1024
"""One changed byte changes one piece, at times its neighbour: below 2 MiB in all."""


@dataclass(frozen=True, slots=True)
class Block:
    """Pieces of a file that follow each other: their bytes, and each one's hash and length."""

    plain: bytes
    cuts: list[tuple[str, int]]


def cut(content: bytes, *, is_last: bool) -> list[int]:
    """Return the lengths of the pieces of the content, in order.

    Unless it is the file's last, the piece at the end is not certain yet and is left for the next
    call, `MOST_BYTES` at most: the pieces are a prefix of the content.
    """
    chunks = FastCDC(USUAL_BYTES, min_size=LEAST_BYTES, max_size=MOST_BYTES).cut_buf(content)
    lengths = [chunk.length for chunk in chunks]
    return lengths if is_last else lengths[:-1]
