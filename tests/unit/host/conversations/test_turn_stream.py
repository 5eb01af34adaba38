"""The stream of one agent's turn; its failures as a whole turn are in test_execute_service."""

from collections.abc import Sequence
from dataclasses import replace

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.host.conversations.scripted import LIMITS, ScriptedAgent, Step

from hakoiri.host.containers.ports import (
    AgentProtocolError,
    AgentUnreachableError,
    UnknownTurnError,
)
from hakoiri.host.conversations.failures import AgentSilentError
from hakoiri.host.conversations.turn_stream import TurnStream
from hakoiri.wire.agent import RunTurn
from hakoiri.wire.events import Error, EventData, Result, SessionStarted, TextDelta

pytestmark = pytest.mark.anyio


class Reading:
    def __init__(
        self,
        *scripts: Sequence[Step],
        resume_after: int | None = None,
        silence_timeout_s: float = 0.05,
    ) -> None:
        self.heard: list[int] = []
        self.agent = ScriptedAgent(*scripts)
        self.batches: list[list[EventData]] = []
        self.sessions: list[str] = []
        self.stream = TurnStream(
            agent=self.agent,
            request=RunTurn(turn_id="c-1-1", text="hi"),
            record=self._record,
            remember_session=self._remember,
            limits=replace(LIMITS, silence_timeout_s=silence_timeout_s, ask_after_s=0.01),
            resume_after=resume_after,
        )

    async def _record(self, data: Sequence[EventData], agent_seq: int) -> None:
        await anyio.lowlevel.checkpoint()
        self.batches.append(list(data))
        self.heard.append(agent_seq)

    async def _remember(self, session_id: str) -> None:
        self.sessions.append(session_id)

    @property
    def text(self) -> str:
        return "".join(e.text for batch in self.batches for e in batch if isinstance(e, TextDelta))


async def test_the_terminal_event_is_returned_and_not_recorded() -> None:
    reading = Reading([(1, SessionStarted(session_id="ab")), (2, Result(text="x"))])
    assert await reading.stream.run() == Result(text="x")
    assert (reading.batches, reading.sessions) == ([], ["ab"])
    assert reading.agent.acknowledged == [1]


async def test_what_arrives_while_a_batch_is_recorded_is_the_next_batch() -> None:
    steps: list[Step] = [(n, TextDelta(text=str(n % 10))) for n in range(1, 200)]
    reading = Reading([*steps, (200, Result(text=""))])
    await reading.stream.run()
    assert len(reading.text) == 199
    assert len(reading.batches) < 199


async def test_silence_is_a_failure() -> None:
    with pytest.raises(AgentSilentError):
        await Reading([anyio.Event()]).stream.run()


async def test_a_silent_agent_that_does_not_answer_counts_as_a_broken_stream() -> None:
    def frozen() -> None:
        raise AgentUnreachableError("no answer within 5 s")

    reading = Reading([anyio.Event()], [(1, Result(text="x"))], silence_timeout_s=30)
    reading.agent.when_asked = frozen
    assert await reading.stream.run() == Result(text="x")
    assert reading.agent.resumed_after == [0]


async def test_a_silent_agent_that_answers_is_left_to_its_work() -> None:
    thought = anyio.Event()
    asked: list[int] = []

    def ask() -> None:
        asked.append(1)
        if len(asked) == 5:
            thought.set()

    reading = Reading([thought, (1, Result(text="x"))], silence_timeout_s=30)
    reading.agent.when_asked = ask
    assert await reading.stream.run() == Result(text="x")
    assert reading.agent.resumed_after == []


async def test_breaks_with_events_between_them_are_forgiven() -> None:
    cut = AgentUnreachableError("cut")
    words: list[list[Step]] = [[(n, TextDelta(text="a")), cut] for n in range(1, 9)]
    reading = Reading(*words, [(9, Result(text="x"))])
    assert await reading.stream.run() == Result(text="x")
    assert reading.text == "a" * 8


async def test_a_fourth_break_is_not_forgiven() -> None:
    reading = Reading([AgentUnreachableError("cut")])
    with pytest.raises(AgentUnreachableError, match="cut"):
        await reading.stream.run()
    assert reading.agent.resumed_after == [0, 0, 0]


async def test_an_event_that_comes_again_after_resuming_is_refused() -> None:
    reading = Reading(
        [(1, TextDelta(text="a")), AgentUnreachableError("cut")], [(1, TextDelta(text="a"))]
    )
    with pytest.raises(AgentProtocolError, match="event 1 came, not 2"):
        await reading.stream.run()
    assert reading.text == "a"


@given(cuts=st.lists(st.integers(0, 4), max_size=3), end=st.sampled_from(["result", "error"]))
def test_wherever_it_breaks_nothing_is_lost_or_doubled(cuts: list[int], end: str) -> None:
    text = "abcdefghijklmnopqrst"
    last = Result(text="") if end == "result" else Error(code="x", text="")
    scripts: list[list[Step]] = []
    sent = 0
    for cut in cuts:
        part: list[Step] = [
            (sent + n, TextDelta(text=text[sent + n - 1])) for n in range(1, cut + 1)
        ]
        scripts.append([*part, AgentUnreachableError("cut")])
        sent += cut
    rest: list[Step] = [(n, TextDelta(text=text[n - 1])) for n in range(sent + 1, 21)]
    scripts.append([*rest, (21, last)])

    async def read() -> Reading:
        reading = Reading(*scripts)
        assert await reading.stream.run() == last
        return reading

    assert anyio.run(read).text == text


async def test_what_is_recorded_says_how_far_the_agent_was_heard() -> None:
    session = SessionStarted(session_id="ab")
    reading = Reading([(1, session), (2, session), (3, TextDelta(text="x")), (4, Result(text="x"))])
    await reading.stream.run()
    assert reading.heard[-1] == 3


async def test_a_turn_that_runs_already_is_read_on_and_not_begun_again() -> None:
    reading = Reading([(8, TextDelta(text="on")), (9, Result(text="on"))], resume_after=7)
    assert await reading.stream.run() == Result(text="on")
    assert reading.agent.resumed_after == [7]
    assert reading.agent.requests == []
    assert reading.heard == [8]


async def test_a_turn_that_never_reached_its_agent_is_begun() -> None:
    reading = Reading([UnknownTurnError("no such turn")], [(1, Result(text="x"))], resume_after=0)
    assert await reading.stream.run() == Result(text="x")
    assert len(reading.agent.requests) == 1


async def test_a_turn_that_its_agent_forgot_is_not_begun_twice_in_one_container() -> None:
    reading = Reading([UnknownTurnError("no such turn")], resume_after=3)
    with pytest.raises(UnknownTurnError):
        await reading.stream.run()
    assert reading.agent.requests == []
