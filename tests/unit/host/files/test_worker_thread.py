import asyncio
import threading

import pytest

from hakoiri.host.files.ports import FilesError, ObjectMissingError
from hakoiri.host.files.worker_thread import run_bounded, run_in_order, run_in_thread

pytestmark = pytest.mark.anyio


async def test_the_answer_and_the_error_of_the_thread_come_back() -> None:
    assert await run_in_thread(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await run_in_thread(lambda: 1 // 0)


async def test_a_cancelled_caller_waits_for_the_end_of_its_thread() -> None:
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    ended = False

    def work() -> None:
        nonlocal ended
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(60)
        ended = True

    async with asyncio.TaskGroup() as group:
        task = group.create_task(run_in_thread(work))
        await begun.wait()
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        go_on.set()
    assert ended
    assert task.cancelled()


async def test_no_more_than_so_many_run_at_once() -> None:
    running = most = 0

    async def work(item: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        done.append(item)

    done: list[int] = []
    await run_bounded(range(20), work, at_once=3)
    assert sorted(done) == list(range(20))
    assert most == 3


async def test_the_first_error_ends_all_and_is_raised_bare() -> None:
    begun: list[int] = []

    async def work(item: int) -> None:
        begun.append(item)
        await asyncio.sleep(0)
        if item == 1:
            raise ObjectMissingError("one")

    with pytest.raises(FilesError, match="one") as caught:
        await run_bounded(range(1000), work, at_once=2)
    assert type(caught.value) is ObjectMissingError
    assert len(begun) < 10


@pytest.mark.parametrize("ahead", [0, 1, 3])
async def test_answers_are_used_in_order_and_no_more_than_so_many_wait(ahead: int) -> None:
    begun: list[int] = []
    used: list[int] = []
    most = 0

    async def begin(item: int) -> int:
        nonlocal most
        begun.append(item)
        most = max(most, len(begun) - len(used))
        for _ in range(5 - item % 5):  # later ones are ready sooner
            await asyncio.sleep(0)
        return item

    async def use(answer: int) -> None:
        await asyncio.sleep(0)
        used.append(answer)

    await run_in_order(range(20), begin, use, ahead=ahead)
    assert used == list(range(20))
    assert most == ahead + 1


@pytest.mark.parametrize("fails_in", ["begin", "use"])
async def test_in_order_too_the_first_error_ends_all_and_is_raised_bare(fails_in: str) -> None:
    begun: list[int] = []

    async def begin(item: int) -> int:
        begun.append(item)
        if fails_in == "begin" and item == 1:
            raise ObjectMissingError("one")
        return item

    async def use(answer: int) -> None:
        await asyncio.sleep(0)
        if fails_in == "use" and answer == 1:
            raise ObjectMissingError("one")

    with pytest.raises(FilesError, match="one") as caught:
        await run_in_order(range(1000), begin, use, ahead=2)
    assert type(caught.value) is ObjectMissingError
    assert len(begun) < 10
