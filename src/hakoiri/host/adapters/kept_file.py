"""A small text that outlives the process: replaced as a whole, or not at all."""

import os
from pathlib import Path
from threading import Lock
from typing import Final

from hakoiri.host.adapters.durable_names import sync_path

LIMIT_BYTES: Final = 64 * 1024


class KeptFile:
    """One file, the server's own. Errors are `OSError`; `ValueError` for one that is too large.

    Any number of threads may change it: they take turns, and the last one counts.
    """

    def __init__(self, path: Path) -> None:
        """Name it; nothing is read yet."""
        self.path = path
        self._changing = Lock()

    def read(self) -> bytes | None:
        """Return what was kept, None if nothing was."""
        try:
            with self.path.open("rb") as file:
                content = file.read(LIMIT_BYTES + 1)
        except FileNotFoundError:
            return None
        if len(content) > LIMIT_BYTES:
            raise ValueError(f"{self.path} has more than {LIMIT_BYTES} bytes")
        return content

    def write(self, content: str) -> None:
        """Keep it; on disk when this returns."""
        with self._changing:
            self._replace(content)

    def remove(self) -> None:
        """Keep nothing."""
        with self._changing:
            self.path.unlink(missing_ok=True)
            sync_path(self.path.parent)

    def _replace(self, content: str) -> None:
        temporary = self.path.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        sync_path(self.path.parent)
