from typing import Any

import pytest
from pydantic import ValidationError

from hakoiri.tracing.launch import TracingLaunch

SECRET = "planted-trace-secret"


def launch(**more: Any) -> TracingLaunch:
    return TracingLaunch(**{"endpoint": "https://otel.test/v1/traces", "instance": "i1", **more})


def test_it_crosses_whole_and_does_not_show_its_headers() -> None:
    made = launch(headers={"authorization": f"Bearer {SECRET}"})
    assert TracingLaunch.model_validate_json(made.model_dump_json()) == made
    assert SECRET not in repr(made)


@pytest.mark.parametrize(
    "fault",
    [
        {"headers": {"authorization": f"{SECRET}\r\nx: y"}},
        {"headers": {"a b": SECRET}},
        {"headers": {"Authorization": SECRET}},
        {"headers": {f"h{number}": "v" for number in range(17)}},
        {"endpoint": "ftp://otel.test"},
        {"endpoint": "https://user@otel.test/v1/traces"},
        {"endpoint": "https://otel.test/v1/traces?x"},
        {"ratio": 1.1},
        {"ratio": float("nan")},
        {"queue_limit": 0},
    ],
)
def test_what_could_harm_is_refused_without_being_shown(fault: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        launch(**fault)
    assert SECRET not in str(caught.value)
