import anyio
import pytest

from hakoiri.host.conversations.inbox import Inbox

pytestmark = pytest.mark.anyio


async def test_what_has_arrived_is_taken_at_once() -> None:
    inbox: Inbox[int] = Inbox()
    for number in range(3):
        await inbox.put(number, size_bytes=1)
    assert await inbox.take() == [0, 1, 2]


@pytest.mark.parametrize("limits", [{"limit_bytes": 10}, {"limit_items": 2}])
async def test_a_full_inbox_makes_the_putter_wait(limits: dict[str, int]) -> None:
    inbox: Inbox[int] = Inbox(**limits)
    put: list[int] = []

    async def fill() -> None:
        for number in range(6):
            await inbox.put(number, size_bytes=5)
            put.append(number)
        await inbox.close()

    async with anyio.create_task_group() as group:
        group.start_soon(fill)
        await anyio.wait_all_tasks_blocked()
        assert put == [0, 1]
        taken = []
        while batch := await inbox.take():
            taken += batch
    assert taken == list(range(6))


async def test_what_arrived_before_the_end_is_taken_first() -> None:
    inbox: Inbox[int] = Inbox()
    failure = ValueError("broken")
    await inbox.put(1, size_bytes=1)
    await inbox.close(failure)
    assert await inbox.take() == [1]
    assert await inbox.take() == []
    assert inbox.failure is failure
