import io
import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from hakoiri.docker_guard.call_log import CallLog

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@given(st.text(max_size=600), st.text(max_size=30), st.none() | st.text(max_size=1000))
def test_a_call_is_one_bounded_line_whatever_it_says(
    target: str, method: str, reason: str | None
) -> None:
    stream = io.StringIO()
    CallLog(stream, now=lambda: NOW).write(
        method=method, target=target, status=403, code="x" if reason else None, reason=reason
    )
    text = stream.getvalue()
    assert text.endswith("\n")
    assert len(text.splitlines()) == 1
    assert text.isascii()
    line = json.loads(text)
    assert line["event"] == ("engine_call_refused" if reason else "engine_call_allowed")
    assert target.startswith(line["target"])
    assert len(line["target"]) <= 256
    assert line["time"] == "2026-01-02T00:00:00Z"
