from prometheus_client import CollectorRegistry

from hakoiri.host.telemetry.probe_metrics import ProbeMetrics


def test_the_newest_look_is_shown_by_runtime_and_none_before_it() -> None:
    registry = CollectorRegistry()
    metrics = ProbeMetrics(registry)

    def shown(**labels: str) -> float | None:
        return registry.get_sample_value("hakoiri_probe_findings", labels)

    assert shown(runtime="runc", result="open") is None
    metrics.probed("runc", refused=240, still_open=2)
    metrics.probed("runsc", refused=230, still_open=1)
    metrics.probed("runsc", refused=231, still_open=0)
    assert shown(runtime="runc", result="open") == 2
    assert shown(runtime="runsc", result="refused") == 231
    assert shown(runtime="runsc", result="open") == 0
