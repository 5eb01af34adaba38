"""A value in a file, read again as soon as the file changes."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

from hakoiri.credential_proxy.credentials.source import Rotation
from hakoiri.credential_proxy.errors import ConfigurationError, CredentialError
from hakoiri.credential_proxy.trusted_file import read_trusted_file

SETTLED_AFTER_NS: Final = 100_000_000
"""A file that changed less than this before it was read is read again at the next use: a second
write within the clock's tick (4 to 10 ms) leaves the same times, and so may look like none."""

Value = TypeVar("Value")
_Signature = tuple[int, int, int, int, int]


class WatchedFile(Generic[Value]):
    """The value in `path`; each use asks the file system once (about a microsecond).

    Broken new content keeps the value that was read before, and is told as `fault`.
    """

    def __init__(
        self,
        path: Path,
        *,
        parse: Callable[[str], Value],
        wall_clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Read for the first time.

        Raises:
            ConfigurationError: the file cannot be trusted, or `parse` refuses its content.
        """
        self._path = path
        self._parse = parse
        self._wall_clock_ns = wall_clock_ns
        self._signature: _Signature | None = None
        self._rotation: Rotation[Value] = Rotation()
        self.fault: str | None = None
        self._look()
        if self.fault is not None:
            raise ConfigurationError(self.fault)

    def current(self) -> Value | None:
        """Return the value of the file as it is now, or the last one that was sound."""
        self._look()
        return self._rotation.newest

    async def get(self) -> Value:
        """Return the same; it never waits."""
        value = self.current()
        if value is None:
            raise CredentialError(self.fault or f"{self._path}: nothing was read")
        return value

    def held(self) -> tuple[Value, ...]:
        """Return the value and those it replaced; looks at no file."""
        return self._rotation.held

    def _look(self) -> None:
        try:
            status = self._path.lstat()
        except OSError as error:
            self._signature = None
            self.fault = f"{self._path}: cannot be read: {error.strerror}"
            return
        signature = _signature_of(status)
        if signature == self._signature:
            return
        # Taken before the content: a write in between shows at the next look.
        changed_ns = max(status.st_mtime_ns, status.st_ctime_ns)
        is_settled = self._wall_clock_ns() - changed_ns > SETTLED_AFTER_NS
        self._signature = signature if is_settled else None
        try:
            self._rotation.replace(self._parse(read_trusted_file(self._path)))
        except ConfigurationError as error:
            self.fault = str(error)
        else:
            self.fault = None


def _signature_of(status: os.stat_result) -> _Signature:
    # The change time cannot be set back, unlike the modification time.
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
