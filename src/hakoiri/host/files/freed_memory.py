"""Keeping freed memory for the next pack while files pass, and giving it back when they have.

A pack is some MiB, and so are its pieces, its compressed form and zstd's tables. By default glibc
maps each of them anew and gives it back when it is freed (mallopt(3), M_MMAP_THRESHOLD), so each of
its pages is paid for with a page fault: more than hashing and compressing it costs.
"""

import ctypes
from functools import cache
from typing import Final

MAPPED_FROM_BYTES: Final = 32 * 1024 * 1024
"""Larger pieces get a mapping of their own; more than any pack, and the most that glibc takes."""

KEPT_BYTES: Final = 64 * 1024 * 1024
"""At most this much is kept free at the heap's end."""

GIVE_BACK_FROM_BYTES: Final = 16 * 1024 * 1024
"""After less than this has passed, nothing is worth giving back."""

_M_TRIM_THRESHOLD: Final = -1  # malloc.h of glibc
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8


def keep_freed_memory() -> bool:
    """Tell the C library so; return whether it could be told: another than glibc cannot.

    Before threads are started: they then share one heap, for malloc_trim(3) does not give back what
    lies free at the end of others.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    return all(
        [
            mallopt(_M_ARENA_MAX, 1),
            mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES),
            mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM_BYTES),
        ]
    )


def give_back() -> None:
    """Give all that is free back to the kernel (malloc_trim(3)); in a worker thread."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> "ctypes._NamedFuncPointer | None":
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim.argtypes, trim.restype = (ctypes.c_size_t,), ctypes.c_int
    return trim
