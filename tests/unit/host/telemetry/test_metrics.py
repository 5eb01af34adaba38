from prometheus_client.parser import text_string_to_metric_families

from hakoiri.host.telemetry.metrics import WORKSPACE_LABELS, ServerMetrics
from hakoiri.wire.proxy import METRICS_PREFIX


def test_turns_and_containers_are_told_with_the_process() -> None:
    live = [3]
    metrics = ServerMetrics()
    metrics.watch_containers(lambda: live[0])
    metrics.turn_ended("result")
    metrics.turn_ended("result")
    metrics.turn_ended("error")
    live[0] = 4
    families = {family.name: family for family in text_string_to_metric_families(metrics.render())}
    turns = {
        sample.labels["result"]: sample.value
        for sample in families["hakoiri_turns"].samples
        if sample.name.endswith("_total")
    }
    assert turns == {"result": 2, "error": 1}
    assert families["hakoiri_containers_live"].samples[0].value == 4
    assert "process_open_fds" in families
    assert not any(name.startswith(METRICS_PREFIX) for name in families)


def test_two_servers_in_one_process_count_apart() -> None:
    one, other = (ServerMetrics() for _ in range(2))
    one.turn_ended("error")
    assert 'hakoiri_turns_total{result="error"} 1.0' in one.render()
    assert 'hakoiri_turns_total{result="error"} 0.0' in other.render()


def killed(metrics: ServerMetrics) -> dict[str, float]:
    families = text_string_to_metric_families(metrics.render())
    return {
        sample.labels["workspace"]: sample.value
        for family in families
        for sample in family.samples
        if sample.name == "hakoiri_seccomp_violations_total"
    }


def test_killed_calls_are_counted_by_workspace_and_the_labels_end_somewhere() -> None:
    metrics = ServerMetrics()
    metrics.system_call_killed("w1")
    metrics.system_call_killed("w1")
    assert killed(metrics) == {"w1": 2}
    for number in range(WORKSPACE_LABELS + 50):
        metrics.system_call_killed(f"new-{number}")
    metrics.system_call_killed("w1")
    found = killed(metrics)
    assert len(found) == WORKSPACE_LABELS + 1
    assert found["w1"] == 3
    assert found["others"] == 51
    assert sum(found.values()) == WORKSPACE_LABELS + 53


def test_what_is_recovered_collected_and_frozen_is_told() -> None:
    metrics = ServerMetrics()
    metrics.watch_containers(lambda: 3, paused=lambda: 2)
    metrics.recovered("container-lost")
    metrics.removed("idle")
    metrics.removed("idle")
    metrics.removed("what a container chose")
    metrics.kept_unsaved()
    metrics.collecting_failed()
    metrics.watch_subscribers(lambda: 7)
    page = metrics.render()
    assert 'hakoiri_container_recoveries_total{reason="container-lost"} 1.0' in page
    assert 'hakoiri_containers_collected_total{reason="idle"} 2.0' in page
    assert "hakoiri_containers_kept_unsaved_total 1.0" in page
    assert 'hakoiri_containers_collected_total{reason="other"} 1.0' in page
    assert "hakoiri_collector_failures_total 1.0" in page
    assert "hakoiri_event_subscribers 7.0" in page
    assert "hakoiri_containers_paused 2.0" in page


def test_the_disks_of_workspaces_are_told_without_a_label() -> None:
    metrics = ServerMetrics()
    metrics.watch_disks(lambda: (4096, 2))
    page = metrics.render()
    assert "hakoiri_workspace_disk_used_bytes 4096.0" in page
    assert "hakoiri_workspaces_nearly_full 2.0" in page
