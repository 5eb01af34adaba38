import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.wire.events import AgentEvent, Error, Result, TextDelta
from hakoiri.wire.sse import SseDecoder
from hakoiri.workspace_agent.errors import EventsForgottenError
from hakoiri.workspace_agent.turn_buffer import TurnBuffer

LIMIT_BYTES = 1000


def delta(size: int) -> AgentEvent:
    return TextDelta(text="x" * size)


def numbers_after(buffer: TurnBuffer, after: int) -> list[int]:
    found = []
    while (event := buffer.next_after(after)) is not None:
        found.append(event.number)
        after = event.number
    return found


def test_events_are_numbered_from_one_and_come_out_as_sse_blocks() -> None:
    buffer = TurnBuffer(limit_bytes=LIMIT_BYTES)
    first, second = buffer.append(delta(1)), buffer.append(Result(text="done"))
    blocks = SseDecoder(line_limit_bytes=LIMIT_BYTES).feed(first.block + second.block)
    assert [(block.id, block.event) for block in blocks] == [("1", "text_delta"), ("2", "result")]


@pytest.mark.parametrize("last", [Result(text=""), Error(code="interrupted", text="")])
def test_nothing_follows_the_last_event(last: AgentEvent) -> None:
    buffer = TurnBuffer(limit_bytes=LIMIT_BYTES)
    buffer.append(last)
    assert buffer.has_ended
    with pytest.raises(ValueError, match="after the turn's last event"):
        buffer.append(delta(1))


def test_a_full_buffer_has_room_again_once_events_are_acknowledged() -> None:
    buffer = TurnBuffer(limit_bytes=LIMIT_BYTES)
    buffer.append(delta(600))
    assert not buffer.has_room_for(delta(600))
    with pytest.raises(BufferError):
        buffer.append(delta(600))
    buffer.acknowledge(1)
    assert buffer.append(delta(600)).number == 2


def test_one_event_larger_than_the_limit_is_taken_when_nothing_else_is_kept() -> None:
    buffer = TurnBuffer(limit_bytes=LIMIT_BYTES)
    assert buffer.has_room_for(delta(5000))
    buffer.append(delta(5000))
    assert not buffer.has_room_for(delta(1))


def test_acknowledged_events_are_refused_rather_than_skipped() -> None:
    buffer = TurnBuffer(limit_bytes=LIMIT_BYTES)
    for _ in range(3):
        buffer.append(delta(1))
    buffer.acknowledge(2)
    assert numbers_after(buffer, 2) == [3]
    with pytest.raises(EventsForgottenError, match="up to 2"):
        buffer.next_after(1)


def test_acknowledging_what_was_never_sent_forgets_no_more_than_all() -> None:
    buffer = TurnBuffer(limit_bytes=LIMIT_BYTES)
    buffer.append(delta(1))
    buffer.acknowledge(99)
    assert buffer.forgotten == 1
    assert buffer.append(delta(1)).number == 2
    assert numbers_after(buffer, 1) == [2]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 1500)),
        st.tuples(st.just("acknowledge"), st.integers(0, 30)),
    ),
    max_size=40,
)


@given(steps)
def test_whatever_happens_numbers_have_no_gap_and_bytes_have_a_bound(
    script: list[tuple[str, int]],
) -> None:
    buffer = TurnBuffer(limit_bytes=LIMIT_BYTES)
    appended = 0
    for action, amount in script:
        if action == "acknowledge":
            buffer.acknowledge(amount)
        elif buffer.has_room_for(delta(amount)):
            appended += 1
            assert buffer.append(delta(amount)).number == appended
        kept = numbers_after(buffer, buffer.forgotten)
        assert kept == list(range(buffer.forgotten + 1, appended + 1))
        kept_bytes = sum(
            len(event.block) for n in kept if (event := buffer.next_after(n - 1)) is not None
        )
        assert kept_bytes <= LIMIT_BYTES or len(kept) == 1
