"""One chat turn: a model call and nothing else."""

from collections.abc import Sequence

import anyio
import pytest
from tests.unit.host.conversations.scripted import (
    ScriptedModel,
    World,
    types,
)

from hakoiri.host.conversations.model import ConversationKind
from hakoiri.host.conversations.ports import (
    ChatModelError,
)
from hakoiri.wire.events import Error, EventData, Result, TextDelta

pytestmark = pytest.mark.anyio

SESSION = "0123-abcd"
GOOD_TURN = ["user_message", "turn_started", "text_delta", "file_synced", "result"]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([TextDelta(text="a"), Result(text="a")], ["text_delta", "result"]),
        ([Error(code="model-overloaded", text="529")], ["error"]),
        ([TextDelta(text="a"), ChatModelError("cut")], ["text_delta", "error"]),
        ([TextDelta(text="a")], ["text_delta", "error"]),
        ([ZeroDivisionError("a fault of ours")], ["error"]),
    ],
)
async def test_a_chat_asks_the_model_without_any_container(
    steps: Sequence[EventData | Exception], expected: list[str]
) -> None:
    world = World(model=ScriptedModel(*steps))
    async with world.service:
        conversation = await world.conversation(ConversationKind.CHAT)
        events = await world.turn(conversation)
        assert types(events) == ["user_message", "turn_started", *expected]
        await world.turn(conversation, "again")
    assert world.containers.log == []
    answered = [("user", "hello"), ("assistant", "a")] if expected[-1] == "result" else []
    assert world.model.asked == [[("user", "hello")], [*answered, ("user", "again")]]


async def test_a_chat_that_hangs_can_be_interrupted() -> None:
    world = World(model=ScriptedModel(TextDelta(text="a"), anyio.Event()))
    async with world.service:
        conversation = await world.conversation(ConversationKind.CHAT)
        message = await world.service.start_turn(
            tenant="default", conversation_id=conversation.id, text="hello"
        )
        await anyio.wait_all_tasks_blocked()
        await world.service.interrupt(tenant="default", conversation_id=conversation.id)
        events = await world.rest_of_turn(message)
    assert types(events)[-2:] == ["text_delta", "error"]
    assert events[-1].data["code"] == "interrupted"
