"""What a process remembers of the JSON that it read."""

import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from hakoiri.host.adapters.redis.fanout import Sent
from hakoiri.wire.command import command_frame_adapter
from hakoiri.wire.events import agent_event_adapter, event_data_adapter
from hakoiri.wire.git_import import clone_line_adapter
from hakoiri.wire.messages import LenientMessage, Message

WORD = "a tenant's word"


class Closed(Message):
    word: str


class Open(LenientMessage):
    word: str


def read(reader: Callable[[str], Any], field: str, **message: object) -> str:
    return str(getattr(reader(json.dumps(message)), field))


DELTA: Final = {"type": "text_delta", "text": WORD}
SENT: Final = {"origin": "0" * 16, "number": 1, "topic": "events", "subjects": None}

READERS: dict[str, Callable[[], str]] = {
    "message": lambda: read(Closed.model_validate_json, "word", word=WORD),
    "lenient message": lambda: read(Open.model_validate_json, "word", word=WORD),
    "agent's event": lambda: read(agent_event_adapter.validate_json, "text", **DELTA),
    "event's data": lambda: read(event_data_adapter.validate_json, "text", **DELTA),
    "command's output": lambda: read(
        command_frame_adapter.validate_json, "base64", type="stdout", base64="d29yZA=="
    ),
    "import's end": lambda: read(
        clone_line_adapter.validate_json, "commit", type="done", commit="0" * 40
    ),
    "message between servers": lambda: read(Sent.model_validate_json, "origin", **SENT),
}


@pytest.mark.parametrize("once", READERS.values(), ids=READERS)
def test_a_value_is_not_remembered(once: Callable[[], str]) -> None:
    first, second = once(), once()
    assert first == second
    assert first is not second, "the string came out of pydantic's cache"
