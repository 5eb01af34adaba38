"""The files that signed heads are in: named as a chain's are, by the number of their first line.

So they are copied as a chain is. They are the keeper's alone to write; its group may read them.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hakoiri.audit.heads import Head, read_heads
from hakoiri.audit.segments import AuditFilesError, lines_of, name_of, open_segment, segments

SEGMENT_BYTES: Final = 16 * 1024 * 1024
_MODE: Final = 0o640
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class HeadFiles:
    """Appends lines to the last file, and begins another when it is full."""

    def __init__(self, directory: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Go on in `directory`, which must exist; cut off what a crash left torn.

        Raises `AuditFilesError`.
        """
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._first = 1
        self._lines = 0
        files = segments(directory)
        if not files:
            return
        self._first = files[-1].first
        try:
            with files[-1].path.open("r+b") as file:
                content = file.read()
                whole = content.rfind(b"\n") + 1
                if whole < len(content):
                    file.truncate(whole)
        except OSError as error:
            raise AuditFilesError(f"cannot write {files[-1].path}: {error.strerror}") from error
        self._lines = content.count(b"\n")

    def append(self, lines: list[bytes]) -> None:
        """Write whole lines, and sync them. Raises `OSError`; nothing of them is there then."""
        path = self._directory / name_of(self._first)
        if path.exists() and path.stat().st_size >= self._segment_bytes:
            self._first, self._lines = self._first + self._lines, 0
            path = self._directory / name_of(self._first)
        descriptor = os.open(path, _FLAGS, _MODE)
        size, data = os.fstat(descriptor).st_size, b"".join(lines)
        try:
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
        finally:
            os.close(descriptor)
        self._lines += len(lines)


def read_signed_heads(directory: Path, *, public: Ed25519PublicKey) -> dict[str, dict[int, Head]]:
    """Return the heads in these files, by chain and number; none where there is no directory.

    Raises `ChainError`, `AuditFilesError`.
    """
    return read_heads(_lines(directory), public=public) if directory.is_dir() else {}


def _lines(directory: Path) -> Iterator[bytes]:
    for segment in segments(directory):
        with open_segment(segment) as file:
            yield from lines_of(file)
