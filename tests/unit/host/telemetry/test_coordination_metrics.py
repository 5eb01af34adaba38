from prometheus_client import CollectorRegistry

from hakoiri.host.telemetry.coordination_metrics import CoordinationMetrics


def test_without_a_service_there_are_no_figures() -> None:
    registry = CollectorRegistry()
    CoordinationMetrics(registry).failed()
    assert list(registry.collect()) == []


def test_a_service_that_answers_is_up() -> None:
    registry = CollectorRegistry()
    metrics = CoordinationMetrics(registry)
    is_up = True
    metrics.watch(lambda: is_up)
    assert registry.get_sample_value("hakoiri_coordination_up") == 1
    is_up = False
    metrics.failed()
    assert registry.get_sample_value("hakoiri_coordination_up") == 0
    assert registry.get_sample_value("hakoiri_coordination_errors_total") == 1
