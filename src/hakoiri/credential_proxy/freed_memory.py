"""Keeping freed memory for the next body, instead of giving it back to the kernel each time.

A body passes in pieces of a quarter MiB. By default glibc shrinks the heap as soon as 128 KiB are
free at its end (mallopt(3), M_TRIM_THRESHOLD), so each piece is paid for with page faults: two
thirds of the processor time of a large answer went there.
"""

from typing import Final

from hakoiri.malloc import tell_malloc

KEPT_BYTES: Final = 16 * 1024 * 1024
"""At most this much is kept free at the heap's end."""

MAPPED_FROM_BYTES: Final = 4 * 1024 * 1024
"""Larger pieces get a mapping of their own, which goes back to the kernel when they are freed."""


def keep_freed_memory() -> bool:
    """Tell the C library so; return whether it could be told: another than glibc cannot."""
    return tell_malloc(mapped_from_bytes=MAPPED_FROM_BYTES, kept_bytes=KEPT_BYTES)
