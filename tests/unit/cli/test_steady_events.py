from collections.abc import Iterator
from typing import Any

import pytest

from hakoiri.cli.api_client import ApiClient, ApiError, BrokenOffError
from hakoiri.cli.steady_events import AWAY, PATIENCE_S, PAUSES_S, STEADY_S, Steady
from hakoiri.wire.problems import Problem

Step = int | str | float | Exception
"""A number: that event. A text: the next event, of this type. A float: so long nothing comes."""


class Api(ApiClient):
    """Gives the streams that it was told, one after the other; then no server answers."""

    def __init__(self, *streams: list[Step]) -> None:
        super().__init__("http://127.0.0.1:1")
        self.streams = list(streams)
        self.now_s = 0.0
        self.asked: list[str] = []
        self.slept: list[float] = []
        self.told: list[str] = []

    def send(self, conversation_id: str, text: str) -> Iterator[dict[str, Any]]:
        self.asked.append(f"say {text}")
        yield from self._stream(0)
        raise BrokenOffError("the stream ended before the turn did")

    def follow(self, conversation_id: str, *, after: int = 0) -> Iterator[dict[str, Any]]:
        self.asked.append(f"after {after}")
        yield from self._stream(after)

    def _stream(self, number: int) -> Iterator[dict[str, Any]]:
        for step in self.streams.pop(0) if self.streams else [ApiError("no server answers")]:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, float):
                self.now_s += step
                continue
            number = step if isinstance(step, int) else number + 1
            yield {"id": number, "type": step if isinstance(step, str) else "text_delta"}

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds

    def steady(self) -> Steady:
        return Steady(self, tell=self.told.append, clock=lambda: self.now_s, sleep=self.sleep)


def refused(status: int) -> ApiError:
    return ApiError("no", problem=Problem.of("x", title="no", status=status))


def numbers(events: Iterator[dict[str, Any]]) -> list[int]:
    """Take all events, up to the error that ends them."""
    seen: list[int] = []
    with pytest.raises(ApiError):
        seen.extend(event["id"] for event in events)
    return seen


def test_a_turn_that_is_whole_is_asked_for_once() -> None:
    api = Api(["user_message", "text_delta", "result", "user_message"])
    assert [event["id"] for event in api.steady().turn("c-1", "hi")] == [1, 2, 3]
    assert (api.asked, api.told) == (["say hi"], [])


@pytest.mark.parametrize("end", [[], [BrokenOffError("reset")]])
def test_a_turn_goes_on_after_its_last_event_and_is_posted_once(end: list[Step]) -> None:
    api = Api(
        ["user_message", "text_delta", *end],
        [],
        [ApiError("no server answers")],
        [refused(503)],
        ["text_delta", "error", "user_message"],
    )
    seen = list(api.steady().turn("c-1", "hi"))
    assert [event["id"] for event in seen] == [1, 2, 3, 4]
    assert seen[-1]["type"] == "error"
    assert api.asked == ["say hi", *["after 2"] * 4]
    assert api.slept == list(PAUSES_S)
    assert api.told == [AWAY]


@pytest.mark.parametrize(
    "failure", [ApiError("no server answers"), BrokenOffError("x"), refused(503)]
)
def test_a_message_that_may_not_have_been_taken_is_never_posted_again(failure: ApiError) -> None:
    api = Api([failure])
    assert numbers(api.steady().turn("c-1", "hi")) == []
    assert (api.asked, api.slept) == (["say hi"], [])


def test_a_log_is_watched_on_after_each_end() -> None:
    api = Api([3, 4], [5], [6], [refused(404)])
    assert numbers(api.steady().log("c-1", after=2)) == [3, 4, 5, 6]
    assert api.asked == ["after 2", "after 4", "after 5", "after 6"]
    assert api.told == [AWAY, AWAY, AWAY]


@pytest.mark.parametrize("failure", [ApiError("no server answers"), refused(503), refused(404)])
def test_a_server_that_never_answered_is_not_waited_for(failure: ApiError) -> None:
    api = Api([failure])
    assert numbers(api.steady().log("c-1", after=0)) == []
    assert api.slept == []


def test_a_server_that_stays_away_is_given_up_with_the_way_on() -> None:
    api = Api([7])
    with pytest.raises(ApiError, match=r"60 s; `hakoiri conversation events c-1 --after 7` goes"):
        list(api.steady().log("c-1", after=0))
    assert PATIENCE_S <= api.now_s < PATIENCE_S + PAUSES_S[-1]


def test_streams_that_end_at_once_are_no_sign_of_life() -> None:
    api = Api([7], *[[]] * 1000)
    assert numbers(api.steady().log("c-1", after=0)) == [7]
    assert api.told == [AWAY]


def test_a_quiet_stream_that_was_open_for_long_is_one() -> None:
    quiet: list[Step] = [2 * STEADY_S]
    api = Api([7], *[quiet] * 100)
    assert numbers(api.steady().log("c-1", after=0)) == [7]
    assert api.told == [AWAY] * 101
