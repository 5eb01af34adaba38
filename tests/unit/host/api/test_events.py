"""Event streams: replay, live, idle, and readers of every bad habit."""

import gc

import anyio
import pytest
from tests.unit.host.api.served import Served, StreamReader, blocks, problem
from tests.unit.host.conversations.scripted import types

from hakoiri.host.api import events
from hakoiri.host.conversations.ports import StoreError
from hakoiri.wire.sse import COMMENT_KEEPALIVE

pytestmark = pytest.mark.anyio


async def test_the_log_is_replayed_and_then_followed() -> None:
    served = Served()
    world = served.world
    async with world.service, anyio.create_task_group() as group:
        conversation = await world.conversation()
        await world.turn(conversation)
        reader = StreamReader(served.app, f"/v1/conversations/{conversation.id}/events")
        group.start_soon(reader.run)
        start = await reader.next()
        assert start["status"] == 200
        past = blocks(await reader.text())
        assert [int(block.id) for block in past] == [1, 2, 3, 4, 5]
        await world.turn(conversation)
        live: list[int] = []
        while len(live) < 5:
            live += [int(block.id) for block in blocks(await reader.text())]
        assert live == [6, 7, 8, 9, 10]
        reader.leave()


@pytest.mark.parametrize(
    ("query", "headers", "first"),
    [
        ("?after=3", {}, 4),
        ("", {"last-event-id": "2"}, 3),
        ("?after=0", {"last-event-id": " 4 "}, 5),
    ],
)
async def test_a_reader_goes_on_where_it_stopped(
    query: str, headers: dict[str, str], first: int
) -> None:
    served = Served()
    world = served.world
    async with world.service, anyio.create_task_group() as group:
        conversation = await world.conversation()
        await world.turn(conversation)
        path = f"/v1/conversations/{conversation.id}/events{query}"
        reader = StreamReader(served.app, path, headers=headers)
        group.start_soon(reader.run)
        await reader.next()
        assert blocks(await reader.text())[0].id == str(first)
        reader.leave()


@pytest.mark.parametrize("number", ["-1", "x", "1.5", "", "٣", "9" * 40])
async def test_a_last_event_id_that_is_no_number_is_refused(number: str) -> None:
    served = Served()
    async with served.client() as client:
        conversation = await served.world.conversation()
        refused = await client.get(
            f"/v1/conversations/{conversation.id}/events",
            headers=[(b"last-event-id", number.encode())],
        )
        assert (refused.status_code, problem(refused)) == (422, "invalid-request")


@pytest.mark.parametrize("number", ["-1", "x", str(2**63)])
async def test_an_after_that_is_no_number_is_refused(number: str) -> None:
    served = Served()
    async with served.client() as client:
        conversation = await served.world.conversation()
        refused = await client.get(f"/v1/conversations/{conversation.id}/events?after={number}")
        assert (refused.status_code, problem(refused)) == (422, "invalid-request")


async def test_an_idle_stream_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KEEPALIVE_S", 0.001)
    served = Served()
    async with anyio.create_task_group() as group:
        conversation = await served.world.conversation()
        reader = StreamReader(served.app, f"/v1/conversations/{conversation.id}/events")
        group.start_soon(reader.run)
        await reader.next()
        assert await reader.text() == COMMENT_KEEPALIVE.decode()
        assert await reader.text() == COMMENT_KEEPALIVE.decode()
        reader.leave()


async def test_a_thousand_idle_readers_are_cheap_and_see_the_turn() -> None:
    """All of them get the live turn, for a handful of reads of the store."""
    served = Served()
    world = served.world
    async with world.service, anyio.create_task_group() as group:
        conversation = await world.conversation()
        path = f"/v1/conversations/{conversation.id}/events"
        readers = [StreamReader(served.app, path) for _ in range(1000)]
        for reader in readers:
            group.start_soon(reader.run)
        for reader in readers:
            await reader.next()
        await anyio.wait_all_tasks_blocked()
        before = world.store.reads
        await world.turn(conversation)
        for reader in readers:
            seen: list[str] = []
            while not seen or seen[-1] != "result":
                seen += [block.event for block in blocks(await reader.text())]
            assert seen[0] == "user_message"
            assert len(seen) == 5
        await anyio.wait_all_tasks_blocked()
        # Each reader asks the store once when it has seen all; none asks for each event.
        assert world.store.reads - before < 3 * len(readers)
        for reader in readers:
            reader.leave()


async def test_a_reader_that_never_reads_slows_no_turn_and_holds_one_page() -> None:
    served = Served()
    world = served.world
    async with world.service, anyio.create_task_group() as group:
        conversation = await world.conversation()
        reader = StreamReader(served.app, f"/v1/conversations/{conversation.id}/events")
        group.start_soon(reader.run)
        await anyio.wait_all_tasks_blocked()
        for _ in range(20):
            assert types(await world.turn(conversation))[-1] == "result"
        reads = world.store.reads
        await anyio.wait_all_tasks_blocked()
        assert world.store.reads == reads
        reader.leave()


async def test_a_reader_that_goes_away_stops_no_turn_and_leaves_nothing() -> None:
    served = Served()
    world = served.world
    async with world.service:
        conversation = await world.conversation()
        async with anyio.create_task_group() as group:
            reader = StreamReader(served.app, f"/v1/conversations/{conversation.id}/events")
            group.start_soon(reader.run)
            await reader.next()
            reader.leave()
        assert types(await world.turn(conversation))[-1] == "result"
        gc.collect()
        assert len(world.feed._channels) == 0


async def test_a_database_that_is_away_does_not_end_a_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events, "KEEPALIVE_S", 0.001)
    served = Served()
    world = served.world
    async with world.service, anyio.create_task_group() as group:
        conversation = await world.conversation()
        reader = StreamReader(served.app, f"/v1/conversations/{conversation.id}/events")
        group.start_soon(reader.run)
        await reader.next()
        world.store.broken = True
        with pytest.raises(StoreError):
            await world.store.check()
        for _ in range(2):
            assert (await reader.text()).startswith(":")
        world.store.broken = False
        await world.turn(conversation)
        while not (seen := blocks(await reader.text())):
            pass
        assert seen[0].id == "1"
        reader.leave()


async def test_when_the_server_stops_a_stream_ends_in_order_and_says_how_to_go_on() -> None:
    served = Served()
    world = served.world
    async with world.service, anyio.create_task_group() as group:
        conversation = await world.conversation()
        await world.turn(conversation)
        reader = StreamReader(served.app, f"/v1/conversations/{conversation.id}/events")
        group.start_soon(reader.run)
        await reader.next()
        assert [int(block.id) for block in blocks(await reader.text())] == [1, 2, 3, 4, 5]
        world.feed.stop()
        assert await reader.next() == {
            "type": "http.response.body",
            "body": events.STREAM_STOPPED,
            "more_body": True,
        }
        assert await reader.next() == {
            "type": "http.response.body",
            "body": b"",
            "more_body": False,
        }
        reader.leave()


async def test_a_stream_that_is_asked_for_meanwhile_ends_well_so_that_browsers_ask_again() -> None:
    served = Served()
    world = served.world
    async with served.client() as client:
        conversation = await world.conversation()
        await world.turn(conversation)
        world.feed.stop()
        answer = await client.get(f"/v1/conversations/{conversation.id}/events")
    assert (answer.status_code, answer.content) == (200, events.STREAM_STOPPED)
