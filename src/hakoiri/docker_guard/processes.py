"""Processes of the host as proc(5) shows them: how their ids are numbered, and their siblings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hakoiri.docker_guard.ownership import IdMaps
from hakoiri.wire.id_map import parse_id_map

PROC: Final = Path("/proc")


class Processes:
    """The processes below a proc file system; nothing is said of one that is gone."""

    def __init__(self, proc: Path = PROC) -> None:
        """Read from `proc`."""
        self._proc = proc

    def id_maps(self, pid: int) -> IdMaps | None:
        """Return how its ids are numbered here."""
        directory = self._proc / str(pid)
        try:
            uid, gid = (
                parse_id_map((directory / name).read_text(encoding="ascii"))
                for name in ("uid_map", "gid_map")
            )
        except (OSError, ValueError):
            return None
        return IdMaps(uid, gid) if uid and gid else None

    def siblings(self, pid: int) -> Iterator[int]:
        """All children of its parent but itself."""
        try:
            status = (self._proc / str(pid) / "status").read_text(
                encoding="utf-8", errors="replace"
            )
            (parent,) = (line.split()[1] for line in status.split("\n") if line.startswith("PPid:"))
            lists = [
                (thread / "children").read_text(encoding="ascii")
                for thread in (self._proc / str(int(parent)) / "task").iterdir()
            ]
        except (OSError, ValueError):
            return
        yield from (found for text in lists for word in text.split() if (found := int(word)) != pid)
