"""Figures of how far the audit log is signed, as its keeper tells them in its file."""

from collections.abc import Callable, Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hakoiri.audit.keeper_status import KeeperStatus


class SigningMetrics(Collector):
    """Tells how old the newest signature of each chain is that covers all of it."""

    def __init__(
        self, status: Callable[[], KeeperStatus | None], *, wall_s: Callable[[], float]
    ) -> None:
        """`status` gives what was told last; `wall_s` gives seconds since 1970."""
        self._status = status
        self._wall_s = wall_s

    def collect(self) -> Iterable[Metric]:
        """Yield the families; where nothing was told, only that."""
        told = self._status()
        now_s = self._wall_s()
        yield GaugeMetricFamily(
            "hakoiri_audit_keeper_told_age_seconds",
            "Since when the process that signs the audit log has told nothing.",
            value=max(0.0, now_s - told.told_at) if told is not None else float("inf"),
        )
        age = GaugeMetricFamily(
            "hakoiri_audit_signed_age_seconds",
            "Since when not all lines of a chain of the audit log have been found signed.",
            labels=["chain"],
        )
        broken = GaugeMetricFamily(
            "hakoiri_audit_chain_broken",
            "1 if lines of the chain were changed, dropped or moved: it is signed no more.",
            labels=["chain"],
        )
        for name, chain in (told.chains if told is not None else {}).items():
            age.add_metric([name], max(0.0, now_s - chain.signed_at))
            broken.add_metric([name], int(chain.is_broken))
        yield age
        yield broken
