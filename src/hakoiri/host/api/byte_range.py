"""The one range of bytes that a request may ask for (RFC 9110, section 14). Pure."""

import re
from dataclasses import dataclass
from typing import Final

_FORM: Final = re.compile(r"bytes=(\d{0,15})-(\d{0,15})", re.ASCII)


class UnsatisfiableRangeError(Exception):
    """The range lies outside of the file."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """From `start` to before `end`, of `size` bytes."""

    start: int
    end: int
    size: int

    @property
    def content_range(self) -> str:
        """Return it as the answer's `Content-Range`."""
        return f"bytes {self.start}-{self.end - 1}/{self.size}"


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """Return what is asked for; None for all of it, also where the header says nothing we know.

    Several ranges at once are answered with the whole, as RFC 9110 allows. Raises
    `UnsatisfiableRangeError`.
    """
    form = _FORM.fullmatch((header or "").strip())
    if form is None or form.groups() == ("", ""):
        return None
    first, last = form.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= end:
        raise UnsatisfiableRangeError
    return ByteRange(start, end, size)
