"""Where a turn stands in the line is recorded, not too often, and never after the wait."""

import anyio
import pytest

from hakoiri.host.containers.admission import LinePlace
from hakoiri.host.conversations.ports import StoreError
from hakoiri.host.conversations.queue_told import QueueTold
from hakoiri.wire.events import Queued

pytestmark = pytest.mark.anyio

HOUR_S = 3600.0


def at(position: int) -> LinePlace:
    return LinePlace(position, 9, "places", 60)


class Record:
    """Keeps what is appended; `holds` makes an append wait."""

    def __init__(self) -> None:
        self.events: list[Queued] = []
        self.holds: anyio.Event | None = None
        self.failure: Exception | None = None

    async def append(self, event: Queued) -> None:
        if self.holds is not None:
            await self.holds.wait()
        if self.failure is not None:
            raise self.failure
        self.events.append(event)

    @property
    def positions(self) -> list[int]:
        return [event.position for event in self.events]


async def test_every_place_is_recorded_if_the_line_moves_slowly() -> None:
    record = Record()
    told = QueueTold(append=record.append, every_s=0)

    async def wait() -> str:
        for position in (3, 2, 1):
            told.now_at(at(position))
            await anyio.wait_all_tasks_blocked()
        return "container"

    assert await told.beside(wait) == "container"
    assert record.positions == [3, 2, 1]
    assert record.events[0] == Queued(position=3, waiting=9, reason="places", limit_s=60)


async def test_a_line_that_moves_fast_is_told_of_once_in_a_while() -> None:
    record = Record()
    told = QueueTold(append=record.append, every_s=HOUR_S)

    async def wait() -> None:
        for position in range(1000, 0, -1):
            told.now_at(at(position))
            await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()

    await told.beside(wait)
    assert len(record.positions) == 1


async def test_a_claim_that_does_not_wait_records_nothing() -> None:
    record = Record()
    told = QueueTold(append=record.append)

    async def wait() -> int:
        return 1

    assert await told.beside(wait) == 1
    assert record.events == []


async def test_a_record_in_the_making_is_waited_for_and_none_follows() -> None:
    record = Record()
    record.holds = anyio.Event()
    told = QueueTold(append=record.append, every_s=0)

    async def wait() -> None:
        told.now_at(at(2))
        await anyio.wait_all_tasks_blocked()
        told.now_at(at(1))

    async with anyio.create_task_group() as group:
        ended = anyio.Event()

        async def beside() -> None:
            await told.beside(wait)
            ended.set()

        group.start_soon(beside)
        await anyio.wait_all_tasks_blocked()
        assert not ended.is_set()
        record.holds.set()
    assert record.positions == [2]


async def test_what_the_wait_raises_is_raised_as_it_is() -> None:
    told = QueueTold(append=Record().append)

    async def wait() -> None:
        raise ZeroDivisionError("as it is")

    with pytest.raises(ZeroDivisionError, match="as it is"):
        await told.beside(wait)


async def test_a_database_that_is_away_ends_the_telling_and_not_the_wait() -> None:
    record = Record()
    record.failure = StoreError("away")
    told = QueueTold(append=record.append, every_s=0)

    async def wait() -> str:
        told.now_at(at(1))
        await anyio.wait_all_tasks_blocked()
        record.failure = None
        told.now_at(at(1))
        await anyio.wait_all_tasks_blocked()
        return "container"

    assert await told.beside(wait) == "container"
    assert record.events == []
