from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hakoiri.host.tracing_settings import TracingSettings


def test_it_is_off_by_default() -> None:
    assert TracingSettings().traces_url is None


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("http://collector.test:4318/", "http://collector.test:4318/v1/traces"),
        ("https://otel.test/otlp", "https://otel.test/otlp/v1/traces"),
    ],
)
def test_the_path_of_traces_is_put_after_the_endpoint(endpoint: str, url: str) -> None:
    assert TracingSettings(endpoint=endpoint).traces_url == url


@pytest.mark.parametrize(
    ("fault", "field"),
    [
        ({"endpoint": "grpc://otel.test"}, "endpoint"),
        ({"endpoint": "https://name:secret@otel.test"}, "endpoint"),
        ({"endpoint": "https://otel.test?key=secret"}, "endpoint"),
        ({"endpoint": "https://otel.test:99999"}, "endpoint"),
        ({"endpoint": "https://:4318"}, "endpoint"),
        ({"ratio": 2}, "ratio"),
        ({"headers_file": "/etc/x"}, "headers_file"),
        ({"endpoint": "http://otel.test", "headers_file": "/etc/x"}, "endpoint"),
        ({"queue_limit": 1}, "queue_limit"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_what_cannot_be_used_is_told_by_its_field(fault: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        TracingSettings(**fault)


def test_headers_go_out_encrypted_or_stay_on_this_machine() -> None:
    for endpoint in ("https://otel.test", "http://localhost:4318", "http://127.0.0.1:4318"):
        made = TracingSettings(endpoint=endpoint, headers_file=Path("/etc/x"))
        assert made.headers_file is not None
