"""Keeping freed memory for the next body, instead of giving it back to the kernel each time.

A body passes in pieces of a quarter MiB. By default glibc shrinks the heap as soon as 128 KiB are
free at its end (mallopt(3), M_TRIM_THRESHOLD), so each piece is paid for with page faults: two
thirds of the processor time of a large answer went there.
"""

import ctypes
from typing import Final

KEPT_BYTES: Final = 16 * 1024 * 1024
"""At most this much is kept free at the heap's end."""

MAPPED_FROM_BYTES: Final = 4 * 1024 * 1024
"""Larger pieces get a mapping of their own, which goes back to the kernel when they are freed."""

_M_TRIM_THRESHOLD: Final = -1  # malloc.h of glibc
_M_MMAP_THRESHOLD: Final = -3


def keep_freed_memory() -> bool:
    """Tell the C library so; return whether it could be told: another than glibc cannot."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    return bool(
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES) and mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM_BYTES)
    )
