"""What glibc's malloc is told: mallopt(3) and malloc_trim(3). Other C libraries cannot be told."""

import ctypes
from functools import cache
from typing import Final

_M_TRIM_THRESHOLD: Final = -1  # malloc.h of glibc
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8


def tell_malloc(*, mapped_from_bytes: int, kept_bytes: int, heaps: int | None = None) -> bool:
    """Fix the limits that it would else move by itself; return whether all could be told.

    A piece of `mapped_from_bytes` or more gets a mapping of its own, which goes back to the kernel
    when it is freed; at most `kept_bytes` stay free at a heap's end. If `heaps` are limited, they
    are so only for threads that are started afterwards.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    wanted = {_M_TRIM_THRESHOLD: kept_bytes, _M_MMAP_THRESHOLD: mapped_from_bytes}
    if heaps is not None:
        wanted[_M_ARENA_MAX] = heaps
    refused = [option for option, value in wanted.items() if not mallopt(option, value)]
    return not refused


def trim_malloc() -> None:
    """Give all that is free back to the kernel; takes its time."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> "ctypes._NamedFuncPointer | None":
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim.argtypes, trim.restype = (ctypes.c_size_t,), ctypes.c_int
    return trim
