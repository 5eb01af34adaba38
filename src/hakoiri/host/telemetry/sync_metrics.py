"""Figures of files that are saved and restored, and how old unsaved work is.

Labels are closed sets.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Direction = Literal["save", "restore"]
Result = Literal["ok", "failed", "given_up"]
SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


@dataclass(slots=True)
class Moved:
    """What one save or restore moved; the block that is metered sets it.

    `is_needless`: there was nothing to do, and nothing is counted.
    """

    files: int = 0
    size_bytes: int = 0
    is_needless: bool = False


class SyncMetrics:
    """Counts into the registry it is given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        syncs = Counter(
            "hakoiri_file_syncs",
            "Saves and restores that are over, by how they ended.",
            ["direction", "result"],
            registry=registry,
        )
        seconds = Histogram(
            "hakoiri_file_sync_seconds",
            "How long saves and restores took that succeeded.",
            ["direction"],
            buckets=SECONDS,
            registry=registry,
        )
        sizes = Counter(
            "hakoiri_file_sync_bytes",
            "Bytes of files that were sent to the store, or brought back.",
            ["direction"],
            registry=registry,
        )
        files = Counter(
            "hakoiri_file_sync_files",
            "Files that were sent to the store, or brought back.",
            ["direction"],
            registry=registry,
        )
        directions = get_args(Direction)
        self._syncs = {
            (direction, result): syncs.labels(direction, result)
            for direction in directions
            for result in get_args(Result)
        }
        self._seconds = {one: seconds.labels(one) for one in directions}
        self._bytes = {one: sizes.labels(one) for one in directions}
        self._files = {one: files.labels(one) for one in directions}

    @contextmanager
    def metered(
        self,
        direction: Direction,
        *,
        clock: Callable[[], float],
        no_fault: tuple[type[Exception], ...] = (),
    ) -> Iterator[Moved]:
        """Count how the block ended, and what it moved.

        One that is cancelled, or ends in an error that is `no_fault`, was given up.
        """
        began_s = clock()
        moved = Moved()
        result: Result = "given_up"
        try:
            yield moved
            result = "ok"
        except no_fault:
            raise
        except Exception:
            result = "failed"
            raise
        finally:
            if not moved.is_needless:
                self._syncs[direction, result].inc()
            if result == "ok" and not moved.is_needless:
                self._seconds[direction].observe(clock() - began_s)
                self._bytes[direction].inc(moved.size_bytes)
                self._files[direction].inc(moved.files)

    def watch_unsaved(self, ages_s: Callable[[], Sequence[float]]) -> None:
        """Show from now on how old the oldest work is that no recovery point has."""
        self._registry.register(_Ages(ages_s))


class _Ages(Collector):
    def __init__(self, ages_s: Callable[[], Sequence[float]]) -> None:
        self._ages_s = ages_s

    def collect(self) -> Iterable[Metric]:
        ages_s = self._ages_s()
        yield GaugeMetricFamily(
            "hakoiri_recovery_point_age_seconds",
            "Of workspaces in use or unsaved: since when the oldest one's files are not saved.",
            value=max(ages_s, default=0.0),
        )
        yield GaugeMetricFamily(
            "hakoiri_workspaces_unsaved",
            "Workspaces in use, or with files that could not be saved.",
            value=len(ages_s),
        )
