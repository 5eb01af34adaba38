"""Cuts large files where their content says so: a byte put in shifts no cut but those beside it.

FastCDC (Xia et al., 2020, https://ieeexplore.ieee.org/document/9055082). Where the cuts lie is no
part of the format: other cuts only mean that less is found to be stored already.
"""

from collections.abc import Iterator

from pyfastcdc import FastCDC

LEAST_BYTES = 128 * 1024
USUAL_BYTES = 256 * 1024
"""FastCDC's parameter; the average lies near the least and this together."""

MOST_BYTES = 1024 * 1024
"""One changed byte changes one piece, at times its neighbour: below 2 MiB in all."""


def cut(content: bytes, *, is_last: bool) -> Iterator[bytes]:
    """Yield pieces of the content, in order.

    Unless it is the file's last, the piece at the end is not certain yet and is left for the next
    call: what was yielded is a prefix of the content.
    """
    chunks = FastCDC(USUAL_BYTES, min_size=LEAST_BYTES, max_size=MOST_BYTES).cut_buf(content)
    for chunk in chunks:
        end = chunk.offset + chunk.length
        if end == len(content) and not is_last:
            return
        yield content[chunk.offset : end]
