"""The system's own table of names (`/etc/hosts`), which goes before DNS."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

HOSTS_FILE: Final = Path("/etc/hosts")
FILE_LIMIT_BYTES: Final = 4 * 1024 * 1024
"""Of a longer file the rest is not read."""

_NOTHING: Final[Mapping[str, tuple[str, ...]]] = {}
_Mark = tuple[int, int, int, int]


def parse_hosts(text: str) -> Mapping[str, tuple[str, ...]]:
    """Return the addresses of each name, in the file's order (hosts(5)).

    Names are in lower case without trailing dot. What is not an address is left to the check that
    all addresses go through.
    """
    found: dict[str, dict[str, None]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        for name in names:
            found.setdefault(name.lower().removesuffix("."), {})[address] = None
    return {name: tuple(addresses) for name, addresses in found.items()}


class HostsFile:
    """The table as it is now: the file is looked at for each question, read when it changed."""

    def __init__(self, path: Path = HOSTS_FILE) -> None:
        self._path = path
        self._mark: _Mark | None = None
        self._table = _NOTHING

    def addresses_of(self, host: str) -> tuple[str, ...]:
        """Return the addresses of `host`; empty when the file does not name it, or is not there."""
        try:
            status = self._path.stat()
            mark = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if mark != self._mark:
                self._table = self._read()
                self._mark = mark
        except OSError:
            self._mark, self._table = None, _NOTHING
        return self._table.get(host, ())

    def _read(self) -> Mapping[str, tuple[str, ...]]:
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            return parse_hosts(file.read(FILE_LIMIT_BYTES).decode("utf-8", errors="replace"))
