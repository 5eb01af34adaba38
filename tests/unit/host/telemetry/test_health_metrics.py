from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from hakoiri.host.telemetry.health_metrics import HealthMetrics, HostPressure, free_ratio


def told(registry: CollectorRegistry) -> str:
    return generate_latest(registry).decode()


def test_each_part_is_up_or_not_and_took_its_time() -> None:
    registry = CollectorRegistry()
    metrics = HealthMetrics(registry)
    metrics.checked("engine", is_up=True, seconds=0.5)
    metrics.checked("objects", is_up=False, seconds=3)
    page = told(registry)
    assert 'hakoiri_part_up{part="engine"} 1.0' in page
    assert 'hakoiri_part_up{part="objects"} 0.0' in page
    assert 'hakoiri_part_check_seconds{part="objects"} 3.0' in page


def pressure(proc: Path, free: float | None = 0.25) -> str:
    registry = CollectorRegistry()
    registry.register(HostPressure(data_dir=proc, proc=proc, free_of=lambda _: free))
    return told(registry)


def test_the_hosts_pressure_is_the_kernels_word(tmp_path: Path) -> None:
    (tmp_path / "pressure").mkdir()
    (tmp_path / "pressure" / "cpu").write_text(
        "some avg10=8.40 avg60=7.05 avg300=6.67 total=2500000\n"
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    )
    (tmp_path / "meminfo").write_text("MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\n")
    page = pressure(tmp_path)
    assert 'hakoiri_host_pressure_seconds_total{resource="cpu",share="some"} 2.5' in page
    assert 'hakoiri_host_pressure_seconds_total{resource="cpu",share="full"} 0.0' in page
    assert "hakoiri_host_memory_available_ratio 0.25" in page
    assert "hakoiri_host_disk_free_ratio 0.25" in page


def test_what_the_kernel_does_not_tell_is_left_out(tmp_path: Path) -> None:
    page = pressure(tmp_path, free=None)
    assert "share=" not in page
    assert "memory_available" not in page
    assert "disk_free" not in page


def test_this_hosts_own_files_are_understood(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    registry.register(HostPressure(data_dir=tmp_path))
    page = told(registry)
    assert "hakoiri_host_memory_available_ratio 0." in page
    assert "hakoiri_host_disk_free_ratio 0." in page
    assert free_ratio(tmp_path / "gone") is None
