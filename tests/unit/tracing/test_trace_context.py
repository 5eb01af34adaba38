import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.tracing.trace_context import TraceContext, parse_traceparent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
SOUND = f"00-{TRACE}-{SPAN}-01"


def test_a_header_that_is_sound_is_read_and_written_again() -> None:
    found = parse_traceparent(SOUND)
    assert found == TraceContext(TRACE, SPAN, is_sampled=True)
    assert found is not None
    assert found.traceparent == SOUND


@pytest.mark.parametrize(("flags", "is_sampled"), [("00", False), ("01", True), ("03", True)])
def test_only_the_sampled_flag_is_looked_at(flags: str, *, is_sampled: bool) -> None:
    found = parse_traceparent(f"00-{TRACE}-{SPAN}-{flags}")
    assert found is not None
    assert found.is_sampled is is_sampled
    assert found.traceparent.endswith(f"-0{int(is_sampled)}")


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"01-{TRACE}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"{SOUND}-x",
        f"{SOUND}\n",
        f" {SOUND}",
        f"{SOUND},{SOUND}",
        f"00-{TRACE[:-1]}٣-{SPAN}-01",
    ],
)
def test_a_header_that_is_not_sound_is_none(value: str) -> None:
    assert parse_traceparent(value) is None


@given(st.text(max_size=80))
def test_no_text_raises(value: str) -> None:
    found = parse_traceparent(value)
    assert found is None or value.startswith(found.traceparent[:53])
