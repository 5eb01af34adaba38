"""Figures of the looks at boxes from inside. Labels are closed sets."""

from prometheus_client import CollectorRegistry, Gauge

from hakoiri.wire.messages import Runtime


class ProbeMetrics:
    """Shows what the newest look at a box of each runtime found; nothing, where none was had."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._findings = Gauge(
            "hakoiri_probe_findings",
            "Attempts of the newest look at a box from inside, by runtime and what became of them.",
            ["runtime", "result"],
            registry=registry,
        )

    def probed(self, runtime: Runtime, *, refused: int, still_open: int) -> None:
        """Show what a look found."""
        self._findings.labels(runtime, "refused").set(refused)
        self._findings.labels(runtime, "open").set(still_open)
