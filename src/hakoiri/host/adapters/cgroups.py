"""Reads what the kernel counted of a container, from the control groups that the engine made.

The files are the kernel's own and readable by everybody; no engine is asked. Both versions of
control groups are known, and both ways in which the engine names the groups (its drivers `cgroupfs`
and `systemd`).
"""

import os
import re
from pathlib import Path
from typing import Final

from hakoiri.host.usage.figures import (
    V1_FILES,
    V2_FILES,
    CgroupFigures,
    CgroupFormError,
    parse_v1,
    parse_v2,
)

ROOT: Final = Path("/sys/fs/cgroup")
ENGINE_ID: Final = re.compile(r"[0-9a-f]{64}")
READ_LIMIT_BYTES: Final = 16 * 1024


class Cgroups:
    """The control groups below `root`; which version they are is seen at the start."""

    def __init__(self, root: Path = ROOT) -> None:
        """Look which version is mounted."""
        self._root = root
        self._is_v2 = (root / "cgroup.controllers").is_file()

    def read(self, engine_id: str) -> CgroupFigures | None:
        """Return what was counted; None for a container that is gone or that cannot be found."""
        if ENGINE_ID.fullmatch(engine_id) is None:
            return None
        for name in (f"docker/{engine_id}", f"system.slice/docker-{engine_id}.scope"):
            try:
                return self._read_v2(name) if self._is_v2 else self._read_v1(name)
            except (OSError, CgroupFormError):
                continue
        return None

    def _read_v1(self, name: str) -> CgroupFigures:
        return parse_v1(
            {
                figure: _read(self._root / controller / name / file)
                for figure, (controller, file) in V1_FILES.items()
            }
        )

    def _read_v2(self, name: str) -> CgroupFigures:
        group = self._root / name
        return parse_v2({figure: _read(group / file) for figure, file in V2_FILES.items()})


def _read(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return os.read(descriptor, READ_LIMIT_BYTES).decode("ascii", errors="replace")
    finally:
        os.close(descriptor)
