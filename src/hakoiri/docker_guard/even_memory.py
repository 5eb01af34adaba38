"""Memory that does not grow over the lives of many containers.

What a call is answered with is read in pieces of some ten to some hundred KiB; what is kept of it
is small. By default glibc puts such pieces between what is kept, in a heap for each thread, as soon
as one of them was ever freed (mallopt(3), M_MMAP_THRESHOLD is moved then), and the holes that they
leave seldom fit the next ones: of 1,600 containers, 2.6 KiB each stayed, all of it free.
"""

from typing import Final

from hakoiri.malloc import tell_malloc

MAPPED_FROM_BYTES: Final = 32 * 1024
"""Such pieces get mappings of their own; some page faults a call, beside an engine's work."""

KEPT_BYTES: Final = 128 * 1024
"""What glibc itself begins with."""


def keep_memory_even() -> bool:
    """Tell the C library so, before threads are started; return whether it could be told."""
    return tell_malloc(mapped_from_bytes=MAPPED_FROM_BYTES, kept_bytes=KEPT_BYTES, heaps=1)
