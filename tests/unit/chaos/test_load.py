from collections.abc import Iterator
from typing import Any

import pytest
from tests.chaos.load import User
from tests.chaos.promises import Outcome, Promises

from hakoiri.cli.api_client import ApiClient, ApiError
from hakoiri.wire.problems import Problem


def problem(status: int) -> ApiError:
    made = Problem.of("some-problem", title="A problem", status=status, detail="as told")
    return ApiError("as told", problem=made)


class ScriptedApi(ApiClient):
    """Fails as told, or acknowledges; its streams break off after each event."""

    def __init__(self, *, failure: ApiError | None = None, events: int = 0) -> None:
        super().__init__("http://127.0.0.1:9")
        self.failure = failure
        self.asked_after: list[int] = []
        self.log: list[dict[str, Any]] = [
            {"id": number, "turn": 1, "type": "text_delta"} for number in range(1, events)
        ]
        self.log.append({"id": events, "turn": 1, "type": "result"})

    def call(self, method: str, path: str, body: Any = None) -> Any:
        if self.failure is not None:
            raise self.failure
        return {"turn": 1, "event": 1, "exit_code": 0}

    def upload(self, path: str, pieces: Iterator[bytes], *, size: int | None) -> Any:
        return self.call("PUT", path)

    def follow(self, conversation_id: str, *, after: int = 0) -> Iterator[dict[str, Any]]:
        self.asked_after.append(after)
        yield self.log[after]
        raise ApiError("the stream broke off")


def user(api: ApiClient) -> User:
    return User(apis=(api,), promises=Promises("c-0123456789", "shop"), seed="1")


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (ApiError("no server answers"), "unknown"),
        (problem(409), "refused"),
        (problem(503), "unknown"),
    ],
)
def test_what_became_of_a_message_is_noted(failure: ApiError, outcome: Outcome) -> None:
    one = user(ScriptedApi(failure=failure))
    with pytest.raises(ApiError):
        one.say("hello")
    assert [(sent.text, sent.outcome) for sent in one.promises.sent] == [("hello", outcome)]
    assert one.promises.faults == []


def test_an_answer_that_no_client_should_see_is_a_fault() -> None:
    one = user(ScriptedApi(failure=problem(500)))
    with pytest.raises(ApiError):
        one.say("hello")
    assert one.promises.faults == ["the answer was 500: as told"]


def test_a_stream_that_breaks_off_is_asked_for_from_where_it_did() -> None:
    api = ScriptedApi(events=3)
    one = user(api)
    one.follow(one.say("hello"))
    assert api.asked_after == [0, 1, 2]
    assert [event["id"] for event in one.promises.seen] == [1, 2, 3]


def test_who_reads_a_stream_goes_on_with_another_server_where_there_are_several() -> None:
    apis = [ScriptedApi(events=5), ScriptedApi(events=5)]
    one = User(apis=apis, promises=Promises("c-0123456789", "shop"), seed="1")
    one.follow(one.say("hello"))
    assert all(api.asked_after for api in apis)
    assert sorted(after for api in apis for after in api.asked_after) == [*range(5)]


def test_a_file_is_promised_when_it_was_acknowledged_and_in_doubt_before() -> None:
    one = user(ScriptedApi())
    one._put()
    one._run()
    assert len(one.promises.files) == 2
    assert not one.promises.doubtful
    refused = user(ScriptedApi(failure=ApiError("no server answers")))
    for act in (refused._put, refused._run):
        with pytest.raises(ApiError):
            act()
    assert not refused.promises.files
    assert len(refused.promises.doubtful) == 2


def test_a_turn_that_was_asked_to_end_is_noted() -> None:
    api = ScriptedApi(events=1)
    one = user(api)
    one._end_early(1)
    assert one.promises.interrupted == {1}


def test_a_chat_is_asked_for_nothing_that_needs_a_container() -> None:
    promises = Promises("c-0123456789", "shop", is_chat=True)
    one = User(apis=(ScriptedApi(),), promises=promises, seed="1")
    acts = {act.__name__ for act, _ in one._acts}
    assert acts == {"_talk", "_listen", "_interrupt_talk", "_rest"}
