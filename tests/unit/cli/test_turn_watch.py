import json
from collections.abc import Iterator
from typing import Any

import pytest

from hakoiri.cli import exit_codes
from hakoiri.cli.api_client import ApiClient
from hakoiri.cli.turn_watch import watch_turn

USER_MESSAGE: dict[str, Any] = {"id": 7, "type": "user_message", "data": {"text": "work"}}
SAID: dict[str, Any] = {"id": 8, "type": "text_delta", "data": {"text": "at work"}}


class Api(ApiClient):
    """Gives these events; then the user presses Ctrl-C."""

    def __init__(self, *events: dict[str, Any]) -> None:
        super().__init__("http://127.0.0.1:1")
        self.said = events

    def send(self, conversation_id: str, text: str) -> Iterator[dict[str, Any]]:
        del conversation_id, text
        yield from self.said
        raise KeyboardInterrupt


@pytest.mark.parametrize(("end", "code"), [("result", 0), ("error", 1)])
def test_the_exit_code_tells_how_the_turn_ended(
    capsys: pytest.CaptureFixture[str], end: str, code: int
) -> None:
    last = {"id": 9, "type": end, "data": {"text": "done", "code": "x"}}
    assert watch_turn(Api(USER_MESSAGE, SAID, last), "c-1", "work", as_json=True) == code
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert told == [USER_MESSAGE, SAID, last]


@pytest.mark.parametrize("as_json", [False, True])
def test_who_leaves_a_turn_is_told_how_to_come_back_and_how_to_end_it(
    capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    code = watch_turn(Api(USER_MESSAGE, SAID), "c-1", "work", as_json=as_json)
    assert code == exit_codes.INTERRUPTED
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == (
        "hakoiri: the turn goes on; watch on with `hakoiri conversation events c-1 --after 8`, "
        "end it with `hakoiri conversation interrupt c-1`"
    )
    assert said.out.endswith("\n")
    assert "goes on" not in said.out


def test_who_leaves_before_an_answer_is_not_told_that_there_is_a_turn(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert watch_turn(Api(), "c-1", "work", as_json=False) == exit_codes.INTERRUPTED
    assert capsys.readouterr().err.splitlines()[-1] == (
        "hakoiri: interrupted before the server answered; whether it has the message is told by "
        "`hakoiri conversation events c-1`"
    )
