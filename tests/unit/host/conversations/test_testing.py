"""The stores in memory; their contract is tested beside the SQL stores (tests/integration/sql)."""

import pytest
from tests.unit.host.conversations.scripted import NOW, World

from hakoiri.host.conversations.ports import StoreError
from hakoiri.host.conversations.testing import MemoryConversations

pytestmark = pytest.mark.anyio


async def test_a_broken_store_fails_every_call() -> None:
    world = World()
    conversation = await world.conversation()
    world.store.broken = True
    with pytest.raises(StoreError):
        await world.store.create(conversation)
    with pytest.raises(StoreError):
        await world.store.get(tenant="default", conversation_id=conversation.id)
    with pytest.raises(StoreError):
        await world.store.list(tenant="default", limit=1, before=None)
    with pytest.raises(StoreError):
        await world.store.begin_turn(conversation_id=conversation.id, text="", now=NOW)
    with pytest.raises(StoreError):
        await world.store.read(conversation_id=conversation.id, after=0, limit=1)
    with pytest.raises(StoreError):
        await world.store.unfinished_turns()


async def test_a_conversation_is_stored_once() -> None:
    store = MemoryConversations()
    conversation = await World().conversation()
    await store.create(conversation)
    with pytest.raises(StoreError):
        await store.create(conversation)
