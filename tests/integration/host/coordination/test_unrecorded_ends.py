"""A server alone whose database has no room within a turn: the turn ends when it has again."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from tests.full_disk import SmallDisk, small_disk
from tests.integration.host.coordination.arenas import InProcessArena
from tests.integration.host.coordination.servers import Server, server
from tests.unit.host.conversations.scripted import Step

from hakoiri.host.conversations.ports import StoreError
from hakoiri.host.conversations.turn_ends import LAST_ATTEMPTS
from hakoiri.wire.events import Result, TextDelta

pytestmark = [pytest.mark.root, pytest.mark.anyio]

LARGE = TextDelta(text="x" * 65536)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", kib=4096) as made:
        yield made


async def until_tried_often(one: Server) -> None:
    """Wait until the turn's end was tried more often than a server that ends would."""
    tries = 0
    append = one.store.append

    async def counted(**given: object) -> object:
        nonlocal tries
        tries += 1
        return await append(**given)  # type: ignore[arg-type]

    one.store.append = counted  # type: ignore[method-assign, assignment]
    async with asyncio.timeout(60):
        while tries <= 3 * LAST_ATTEMPTS:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def test_a_full_disk_within_a_turn_keeps_it_from_its_end_only_while_it_is_full(
    disk: SmallDisk,
) -> None:
    is_full = anyio.Event()
    script: list[Step] = [
        (1, TextDelta(text="begun")),
        is_full,
        (2, LARGE),
        (3, Result(text="done")),
    ]
    path = disk.place / "hakoiri.sqlite"
    async with server(InProcessArena(), path, "a", script, [(1, Result(text="again"))]) as one:
        conversation = await one.conversation()
        first = await one.begin(conversation)
        async with asyncio.timeout(60):
            while len(await one.log(conversation)) < 3:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        disk.fill()
        with pytest.raises(StoreError):
            await one.conversation("other")
        is_full.set()
        await until_tried_often(one)
        assert (await one.log(conversation))[-1].type != "error"
        disk.free()
        events = await one.rest_of_turn(first)
        assert events[-1].data["code"] == "record-failed"
        assert await one.service.take_up_unfinished() == 0
        again = await one.rest_of_turn(await one.begin(conversation))
        assert again[-1].type == "result"
        await one.log(conversation)
