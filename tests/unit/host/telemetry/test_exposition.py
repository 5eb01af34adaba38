import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from hakoiri.host.telemetry.exposition import is_sound, merge

OWN = "# HELP hakoiri_turns_total x\n# TYPE hakoiri_turns_total counter\nhakoiri_turns_total 1.0\n"
PROXYS = 'hakoiri_proxy_requests_total{rule="*.a.test",status="2xx"} 3.0\n'


@given(st.text(), st.floats())
def test_what_the_library_writes_is_sound(label: str, value: float) -> None:
    registry = CollectorRegistry()
    Gauge("hakoiri_proxy_g", "é \\ \n text", ["rule"], registry=registry).labels(label).set(value)
    Counter("hakoiri_proxy_c", "", registry=registry)
    Histogram("hakoiri_proxy_h", "h", registry=registry).observe(1e-9)
    text = "".join(
        line + "\n"
        for line in generate_latest(registry).decode().removesuffix("\n").split("\n")
        if "_created" not in line
    )
    assert is_sound(text)


def test_both_are_one_readable_text() -> None:
    text = merge(OWN, PROXYS)
    values = {s.name: s.value for f in text_string_to_metric_families(text) for s in f.samples}
    assert values == {
        "hakoiri_turns_total": 1,
        "hakoiri_server_proxy_up": 1,
        "hakoiri_proxy_requests_total": 3,
    }


@pytest.mark.parametrize(
    "told",
    [
        None,
        "",
        "\n",
        "hakoiri_proxy_x 1",
        "hakoiri_turns_total 7.0\n",
        PROXYS + "hakoiri_server_proxy_up 1\n",
        PROXYS + "process_open_fds 1\n",
        "# TYPE hakoiri_turns_total gauge\n",
        "# EOF\n",
        PROXYS + "\n",
        "hakoiri_proxy_x one\n",
        'hakoiri_proxy_x{rule="a"b"} 1\n',
        'hakoiri_proxy_x{rule="a\\q"} 1\n',
        "hakoiri_proxy_x{rule=a} 1\n",
        "hakoiri_proxy_x 1 1700000000000\n",
        "hakoiri_proxy_x 1\r\n",
        'hakoiri_proxy_x 1 # {trace_id="x"} 1\n',
        "<html>\n",
    ],
)
def test_what_is_not_the_proxys_own_is_told_as_absent(told: str | None) -> None:
    text = merge(OWN, told)
    assert text.startswith(OWN)
    assert text.endswith("hakoiri_server_proxy_up 0\n")


@given(st.text())
def test_no_text_of_the_proxy_touches_the_servers(told: str) -> None:
    text = merge(OWN, told)
    assert text.startswith(OWN)
    extra = text.removeprefix(OWN)
    assert "hakoiri_turns" not in extra
    assert list(text_string_to_metric_families(text))
