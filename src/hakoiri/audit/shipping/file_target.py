"""Copies the chains' files as they are, into a directory that somebody else may keep."""

import os
from pathlib import Path

from hakoiri.audit.shipping.source import Batch
from hakoiri.audit.shipping.targets import TargetError

_MODE = 0o640


class FileCopy:
    """Writes each batch at the place that it has in its own file: a second time changes nothing.

    What was copied is checked by `hakoiri audit verify --dir COPY --unsigned`.
    """

    def __init__(self, directory: Path, *, instance: str) -> None:
        """Write below `directory`, which must exist, in one directory for each chain."""
        self._root = directory
        self._directory = directory / instance

    def send(self, chain: str, batch: Batch) -> None:
        """Write and sync the lines; `OSError`, `TargetError` if lines before them are gone."""
        if not self._root.is_dir():  # a share that is not mounted must not become a directory
            raise TargetError(f"{self._root} is not there")
        directory = self._directory / chain
        directory.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(directory / batch.segment.path.name, flags, _MODE)
        try:
            if os.fstat(descriptor).st_size < batch.offset:
                raise TargetError(
                    f"{batch.segment.path.name} of {chain} is shorter than was copied"
                )
            done = 0
            while done < len(batch.data):
                done += os.pwrite(descriptor, batch.data[done:], batch.offset + done)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
