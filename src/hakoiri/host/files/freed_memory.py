"""Keeping freed memory for the next pack while files pass, and giving it back when they have.

A pack is some MiB, and so are its pieces, its compressed form and zstd's tables. By default glibc
maps each of them anew and gives it back when it is freed (mallopt(3), M_MMAP_THRESHOLD), so each of
its pages is paid for with a page fault: more than hashing and compressing it costs.
"""

from typing import Final

from hakoiri.malloc import tell_malloc, trim_malloc

MAPPED_FROM_BYTES: Final = 32 * 1024 * 1024
"""Larger pieces get a mapping of their own; more than any pack, and the most that glibc takes."""

KEPT_BYTES: Final = 64 * 1024 * 1024
"""At most this much is kept free at the heap's end."""

GIVE_BACK_FROM_BYTES: Final = 16 * 1024 * 1024
"""After less than this has passed, nothing is worth giving back."""


def keep_freed_memory() -> bool:
    """Tell the C library so; return whether it could be told: another than glibc cannot.

    Before threads are started: they then share one heap, for malloc_trim(3) does not give back what
    lies free at the end of others.
    """
    return tell_malloc(mapped_from_bytes=MAPPED_FROM_BYTES, kept_bytes=KEPT_BYTES, heaps=1)


def give_back() -> None:
    """Give all that is free back to the kernel; in a worker thread."""
    trim_malloc()
