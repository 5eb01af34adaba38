"""The schedule of saves beside a turn, over a clock of the tests' own."""

from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.conversations.sync_schedule import SyncSchedule
from hakoiri.wire.events import EventData, TextDelta, ToolResult, ToolUse

QUIET, LONGEST = 10, 30


def schedule() -> SyncSchedule:
    return SyncSchedule(quiet_s=QUIET, longest_wait_s=LONGEST)


def call(tool: str = "Bash", tool_use_id: str = "t") -> ToolUse:
    return ToolUse(tool_use_id=tool_use_id, name=tool, input={})


def result(tool_use_id: str = "t") -> ToolResult:
    return ToolResult(tool_use_id=tool_use_id, text="")


def test_nothing_is_due_before_a_tool_that_can_write() -> None:
    made = schedule()
    made.saw([TextDelta(text="a")], now=0)
    for tool in ("Read", "Grep", "Glob", "WebFetch"):
        made.saw([call(tool), result()], now=0)
    assert made.due_at() is None


@pytest.mark.parametrize("tool", ["Bash", "Write", "Edit", "mcp__some__tool"])
def test_a_result_is_saved_after_the_pause(tool: str) -> None:
    made = schedule()
    made.saw([call(tool)], now=0)
    made.saw([result()], now=5)
    assert made.due_at() == 5 + QUIET


def test_a_result_that_nobody_announced_counts_as_one_that_wrote() -> None:
    made = schedule()
    made.saw([result("never called")], now=5)
    assert made.due_at() == 5 + QUIET


def test_results_that_never_pause_wait_no_longer_than_the_oldest_may() -> None:
    made = schedule()
    for now in range(29):
        made.saw([call(), result()], now=now)
    assert made.due_at() == LONGEST


def test_a_tool_that_works_on_is_saved_again_and_again() -> None:
    made = schedule()
    made.saw([call()], now=0)
    assert made.due_at() == LONGEST
    made.begin(now=30)
    assert made.due_at() is None
    made.succeed()
    assert made.due_at() == 30 + LONGEST


def test_after_the_last_change_is_saved_nothing_is_due() -> None:
    made = schedule()
    made.saw([call(), result()], now=0)
    made.begin(now=10)
    made.succeed()
    assert made.due_at() is None


def test_what_comes_during_a_save_is_the_next_ones() -> None:
    made = schedule()
    made.saw([call(), result()], now=0)
    made.begin(now=10)
    made.saw([call(), result()], now=11)
    assert made.due_at() is None
    made.succeed()
    assert made.due_at() == 11 + QUIET


def test_a_failed_save_is_tried_again_after_the_pause_though_nothing_more_happens() -> None:
    made = schedule()
    made.saw([call(), result()], now=0)
    made.begin(now=10)
    made.fail(now=100)
    assert (made.due_at(), made.is_failing) == (100 + QUIET, True)
    made.begin(now=110)
    made.succeed()
    assert (made.due_at(), made.is_failing) == (None, False)


@dataclass
class Simulated:
    """A turn second by second: what happened, and what a faithful executor did."""

    begun: list[tuple[int, int, bool]] = field(default_factory=list)
    """Begin, end, whether it succeeded."""

    written: set[int] = field(default_factory=set)
    """Seconds in which a tool may have written."""

    results: list[int] = field(default_factory=list)


Action = tuple[int, Literal["call", "result", "text"], int]


def simulate(actions: list[Action], durations: list[int], failures: list[bool]) -> Simulated:
    made, seen = schedule(), Simulated()
    open_calls: set[int] = set()
    running: tuple[int, int, bool] | None = None
    end = max((action[0] for action in actions), default=0)
    for now in range(end + 600):
        events: list[EventData] = []
        for at, kind, number in actions:
            if at == now and kind == "call":
                events.append(call(tool_use_id=str(number)))
                open_calls.add(number)
            elif at == now and kind == "result" and number in open_calls:
                events.append(result(str(number)))
                open_calls.discard(number)
                seen.written.add(now)
                seen.results.append(now)
        if open_calls and now <= end:
            seen.written.add(now)
        made.saw(events, now=now)
        if running is not None and running[1] <= now:
            (made.succeed() if running[2] else made.fail(now=now))
            running = None
        due = made.due_at()
        if due is not None and due <= now:
            assert running is None, "two saves at once"
            number = len(seen.begun)
            duration = durations[number % len(durations)]
            is_failing = number < len(failures) and failures[number]
            running = (now, now + duration, not is_failing)
            seen.begun.append(running)
            made.begin(now=now)
    return seen


ACTIONS = st.lists(
    st.tuples(st.integers(0, 200), st.sampled_from(["call", "result", "text"]), st.integers(0, 4)),
    max_size=60,
)


@given(actions=ACTIONS, duration=st.integers(0, 50))
def test_every_change_is_in_a_save_that_began_soon_enough(
    actions: list[Action], duration: int
) -> None:
    seen = simulate(actions, [duration], [])
    for written in seen.written:
        first = min(begin for begin, _, _ in seen.begun if begin >= written)
        # a save that already runs then has to end first
        running = [end for begin, end, _ in seen.begun if begin < written < end]
        assert first <= max([written + LONGEST, *running])


@given(
    actions=ACTIONS,
    durations=st.lists(st.integers(0, 20), min_size=1, max_size=5),
    failures=st.lists(st.booleans(), max_size=8),
)
def test_saves_come_singly_never_in_haste_and_the_last_change_is_saved_whatever_failed(
    actions: list[Action], durations: list[int], failures: list[bool]
) -> None:
    seen = simulate(actions, durations, failures)
    for (begin, end, _), (following, _, _) in zip(seen.begun, seen.begun[1:], strict=False):
        assert following >= end
        assert following - begin >= QUIET
    if seen.written:
        last = max(seen.written)
        assert any(begin >= last and is_saved for begin, _, is_saved in seen.begun)
    else:
        assert not seen.begun
