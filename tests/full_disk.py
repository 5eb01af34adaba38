"""A small file system of its own that a test can fill, and empty again. Needs root."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BLOCK_BYTES = 4096


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """Where it is mounted."""

    place: Path

    @property
    def _filler(self) -> Path:
        return self.place / "filler"

    def fill(self) -> None:
        """Leave no room: the next block that is asked for is refused (ENOSPC)."""
        with self._filler.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * BLOCK_BYTES)
            except OSError:
                return

    def free(self) -> None:
        """Make room again."""
        self._filler.unlink()


@contextmanager
def small_disk(place: Path, *, kib: int = 1024) -> Iterator[SmallDisk]:
    """Mount a tmpfs at `place`, which is made."""
    place.mkdir(mode=0o755)
    options = f"size={kib}k,mode=755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(place)], check=True)
    try:
        yield SmallDisk(place)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
