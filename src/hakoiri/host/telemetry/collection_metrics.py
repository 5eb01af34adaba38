"""Figures of the store's collection. Labels are a closed set."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

PLACES: Final = ("live", "young", "waiting", "archived", "wasted")
REMOVALS: Final = ("archived", "deleted")


class CollectionMetrics:
    """Counts into the registry it is given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        held = Gauge(
            "hakoiri_store_bytes",
            "Bytes in the object store when it was last looked through, by what they are; wasted "
            "ones are part of the live.",
            ["what"],
            registry=registry,
        )
        removed = Counter(
            "hakoiri_store_collected_bytes",
            "Bytes that went into the archive, and that were deleted from it.",
            ["how"],
            registry=registry,
        )
        self._held = {place: held.labels(place) for place in PLACES}
        self._removed = {how: removed.labels(how) for how in REMOVALS}
        self._missing = Gauge(
            "hakoiri_store_missing_objects",
            "Objects that a live recovery point names and that are not in the store.",
            registry=registry,
        )
        self._last = Gauge(
            "hakoiri_store_collection_last_success_timestamp_seconds",
            "When the collection of the store last came to its end without a failure.",
            registry=registry,
        )
        self._interval = Gauge(
            "hakoiri_store_collection_interval_seconds",
            "From one pass of the collection to the next, as set; 0 if it is off.",
            registry=registry,
        )
        self._expired = Counter(
            "hakoiri_store_expired_points",
            "Recovery points that the collection let go from lists, as too old or too many.",
            registry=registry,
        )
        self._failures = Counter(
            "hakoiri_store_collection_failures",
            "Passes of the collection that were given up, or left a tenant alone.",
            registry=registry,
        )

    def runs_every(self, interval_s: float) -> None:
        """Show how often a pass is made; 0 is never."""
        self._interval.set(interval_s)

    def expired(self, points: int) -> None:
        """Count points that left their lists."""
        self._expired.inc(points)

    def looked_through(self, held_bytes: dict[str, int], *, missing: int) -> None:
        """Show what the store holds; `held_bytes` by `PLACES`."""
        for place, count in held_bytes.items():
            self._held[place].set(count)
        self._missing.set(missing)

    def removed(self, *, archived_bytes: int, deleted_bytes: int) -> None:
        """Count what went."""
        self._removed["archived"].inc(archived_bytes)
        self._removed["deleted"].inc(deleted_bytes)

    def succeeded(self, at_s: float) -> None:
        """Note that a pass did all it was to do, at this Unix time."""
        self._last.set(at_s)

    def failed(self) -> None:
        """Count a pass that did not."""
        self._failures.inc()
