"""When this installation was last backed up, as `hakoiri backup create` leaves word of it.

A backup is made by a process of its own, started by cron, with or without a server. So its end is
written into the data directory, where every server that comes after can read it.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

FILE_NAME: Final = "last-backup"
_MODE: Final = 0o644
_LIMIT_BYTES: Final = 32


def tell_backup(data_dir: Path, *, at_s: float) -> None:
    """Leave word that a backup was finished, at seconds since 1970. Raises `OSError`.

    The server can write there and root does it: no link is followed, and the file is there whole.
    """
    partial = data_dir / f"{FILE_NAME}.partial"
    partial.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(partial, flags, _MODE), "w", encoding="ascii") as file:
        file.write(f"{int(at_s)}\n")
    partial.rename(data_dir / FILE_NAME)


def last_backup_s(data_dir: Path) -> int:
    """Return when the last one was finished, in seconds since 1970; 0 if none is known of."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(data_dir / FILE_NAME, flags), "rb") as file:
            told = file.read(_LIMIT_BYTES).strip()
    except OSError:
        return 0
    return int(told) if told.isdigit() else 0


class BackupMetrics(Collector):
    """Tells of the last backup; the file is read at each look."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def collect(self) -> Iterable[Metric]:
        """Yield the family: 0 where no backup was ever finished, which is to be seen, too."""
        yield GaugeMetricFamily(
            "hakoiri_backup_last_success_timestamp_seconds",
            "When `hakoiri backup create` last finished here; 0 if it never did.",
            value=last_backup_s(self._data_dir),
        )
