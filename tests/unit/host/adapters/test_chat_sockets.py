from dataclasses import replace
from datetime import UTC, datetime

import anyio
import pytest

from hakoiri.host.adapters.chat_sockets import ChatSockets
from hakoiri.host.containers.testing import MemoryProxy
from hakoiri.host.conversations.model import Conversation, ConversationKind
from hakoiri.host.conversations.ports import ChatModelError
from hakoiri.wire.agent import AgentOptions
from hakoiri.wire.policy import DENY_ALL, ModelRoute, Policy

pytestmark = pytest.mark.anyio

CHAT = Conversation(
    id="c1",
    tenant="t1",
    kind=ConversationKind.CHAT,
    workspace_id=None,
    policy="narrow",
    options=AgentOptions(),
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    turn=1,
    running=True,
    last_event=1,
)
NARROW = Policy(model=ModelRoute(provider="bedrock", credential="bedrock", models=["small"]))


def sockets(proxy: MemoryProxy) -> ChatSockets:
    async def policy_of(conversation: Conversation) -> Policy:
        return NARROW if conversation.policy == "narrow" else DENY_ALL

    return ChatSockets(proxy=proxy, policy_of=policy_of)


async def test_a_chat_goes_out_under_its_own_policy_and_leaves_no_socket() -> None:
    proxy = MemoryProxy()
    async with sockets(proxy).socket_for(CHAT) as path:
        assert path.name == "proxy.sock"
        assert proxy.sockets == {"chat-c1": ("c1", "t1", 1, NARROW)}
    assert proxy.sockets == {}
    async with sockets(proxy).socket_for(replace(CHAT, policy="other")):
        assert proxy.sockets == {"chat-c1": ("c1", "t1", 1, DENY_ALL)}


async def test_a_proxy_that_refuses_or_is_away_is_told_as_the_chats_error() -> None:
    refusing = MemoryProxy(refuse=lambda _: True)
    with pytest.raises(ChatModelError, match="too wide"):
        async with sockets(refusing).socket_for(CHAT):
            pass
    with pytest.raises(ChatModelError, match="away"):
        async with sockets(MemoryProxy(away=True)).socket_for(CHAT):
            pass
    assert refusing.sockets == {}, "one that is refused leaves no socket either"


async def test_a_chat_that_is_interrupted_while_its_socket_is_bound_leaves_none() -> None:
    proxy = MemoryProxy()

    async def never(container_id: str, **owner: object) -> None:
        assert proxy.sockets == {"chat-c1": None}
        scope.cancel()
        await anyio.sleep_forever()

    proxy.bind = never  # type: ignore[method-assign]
    with anyio.CancelScope() as scope:
        async with sockets(proxy).socket_for(CHAT):
            raise AssertionError("it was never bound")
    assert scope.cancelled_caught
    assert proxy.sockets == {}


async def test_what_a_killed_server_left_is_closed_and_what_a_turn_uses_is_not() -> None:
    proxy = MemoryProxy(sockets={"chat-c0": ("c0", "t1", 1, NARROW), "c0123456789abcdef": None})
    chats = sockets(proxy)
    async with chats.socket_for(CHAT):
        assert await chats.close_left_over() == 1
        assert set(proxy.sockets) == {"chat-c1", "c0123456789abcdef"}
    assert await chats.close_left_over() == 0
    assert set(proxy.sockets) == {"c0123456789abcdef"}, "a container's is not a chat's"


async def test_a_turn_that_begins_while_its_old_socket_is_closed_has_a_new_one() -> None:
    proxy = MemoryProxy(sockets={"chat-c1": None})
    chats = sockets(proxy)
    begun, go_on, closed = anyio.Event(), anyio.Event(), anyio.Event()
    closes = proxy.close_socket

    async def close_slowly(container_id: str) -> None:
        begun.set()
        await go_on.wait()
        await closes(container_id)
        closed.set()

    async def turn() -> None:
        async with chats.socket_for(CHAT):
            await closed.wait()
            assert proxy.sockets == {"chat-c1": ("c1", "t1", 1, NARROW)}

    proxy.close_socket = close_slowly  # type: ignore[method-assign]
    async with anyio.create_task_group() as group:
        group.start_soon(chats.close_left_over)
        await begun.wait()
        group.start_soon(turn)
        await anyio.wait_all_tasks_blocked()
        go_on.set()


async def test_one_that_could_not_be_closed_is_closed_later() -> None:
    proxy = MemoryProxy()
    chats = sockets(proxy)
    async with chats.socket_for(CHAT):
        proxy.away = True
    proxy.away = False
    assert set(proxy.sockets) == {"chat-c1"}
    assert await chats.close_left_over() == 1
