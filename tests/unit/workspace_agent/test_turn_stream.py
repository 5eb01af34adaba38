import asyncio

import pytest

from hakoiri.wire.events import Result, TextDelta
from hakoiri.workspace_agent.errors import EventsForgottenError
from hakoiri.workspace_agent.turn_stream import TurnStream

pytestmark = pytest.mark.anyio

NEVER_S = 3600.0


async def collect(stream: TurnStream, *, after: int = 0, idle_s: float = NEVER_S) -> list[int]:
    events = stream.read(after=after, idle_s=idle_s)
    return [event.number async for event in events if event is not None]


async def test_many_readers_each_see_every_event_to_the_last() -> None:
    stream = TurnStream("t1", limit_bytes=1000)
    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(collect(stream)) for _ in range(3)]
        await asyncio.sleep(0)
        await stream.put(TextDelta(text="a"))
        await stream.put(Result(text="b"))
    assert [reader.result() for reader in readers] == [[1, 2]] * 3
    assert await collect(stream, after=1) == [2], "replayable after the end"


async def test_a_full_buffer_makes_the_writer_wait_and_loses_nothing() -> None:
    stream = TurnStream("t1", limit_bytes=200)
    written: list[int] = []

    async def write() -> None:
        for number in range(1, 6):
            await stream.put(TextDelta(text="x" * 100))
            written.append(number)
        await stream.put(Result(text=""))

    read: list[int] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        for _ in range(20):
            await asyncio.sleep(0)
        assert written == [1], "the second has no room before the first is acknowledged"
        async for event in stream.read(after=0, idle_s=NEVER_S):
            assert event is not None
            read.append(event.number)
            await stream.acknowledge(event.number)
    assert read == [1, 2, 3, 4, 5, 6]


async def test_a_reader_that_fell_behind_ends_rather_than_skipping_events() -> None:
    stream = TurnStream("t1", limit_bytes=1000)
    await stream.put(TextDelta(text="a"))
    await stream.put(TextDelta(text="b"))
    slow = stream.read(after=0, idle_s=NEVER_S)
    first = await anext(slow)
    assert first is not None
    await stream.put(Result(text="c"))
    await stream.acknowledge(2)
    assert [event async for event in slow] == []
    with pytest.raises(EventsForgottenError):
        stream.check_readable(after=0)


async def test_an_idle_stream_says_so() -> None:
    stream = TurnStream("t1", limit_bytes=1000)
    events = stream.read(after=0, idle_s=0)
    assert await anext(events) is None
    await stream.put(Result(text=""))
    last = await anext(events)
    assert last is not None
    assert stream.has_ended
