import asyncio

import pytest

from hakoiri.host.containers.places import Place, PlaceGuard

pytestmark = pytest.mark.anyio


async def test_one_workspace_at_a_time_and_nothing_kept_after() -> None:
    places: dict[str, Place] = {}
    inside: list[str] = []

    async def enter(workspace: str) -> None:
        async with PlaceGuard(places, workspace):
            assert workspace not in inside
            inside.append(workspace)
            await asyncio.sleep(0)
            inside.remove(workspace)

    async with asyncio.TaskGroup() as group:
        for workspace in ("w1", "w2", "w1", "w1"):
            group.create_task(enter(workspace))
    assert places == {}


async def test_who_gives_up_waiting_keeps_no_place() -> None:
    places: dict[str, Place] = {}

    async def enter() -> None:
        async with PlaceGuard(places, "w1"):
            raise AssertionError("it never gets in")

    async with asyncio.TaskGroup() as group, PlaceGuard(places, "w1"):
        waiting = group.create_task(enter())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
    assert places == {}
