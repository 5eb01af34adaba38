"""What the kernel tells of this host, read from its files."""

from contextlib import suppress
from pathlib import Path
from typing import Final

from hakoiri.host.containers.host_reading import FILES, HostReading, read_host

FILE_LIMIT_BYTES: Final = 64 * 1024


class HostResources:
    """Reads the kernel's files; a few short ones, so that it may be done in passing."""

    def __init__(self, *, root: Path = Path("/")) -> None:
        """`root` is where `/proc` and `/sys` are."""
        self._root = root

    def read(self) -> HostReading:
        """Return how the host is now; a file that cannot be read tells nothing."""
        texts = {}
        for path in FILES:
            with suppress(OSError), (self._root / path.removeprefix("/")).open("rb") as file:
                texts[path] = file.read(FILE_LIMIT_BYTES).decode("ascii", "replace")
        return read_host(texts)
