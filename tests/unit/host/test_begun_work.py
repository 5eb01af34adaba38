import asyncio

import pytest

from hakoiri.host.begun_work import both, wait_for_end

pytestmark = pytest.mark.anyio


async def test_the_answer_and_the_error_come_back() -> None:
    loop = asyncio.get_running_loop()
    right, wrong = loop.create_future(), loop.create_future()
    right.set_result(7)
    wrong.set_exception(ValueError("no"))
    assert await wait_for_end(right) == 7
    with pytest.raises(ValueError, match="no"):
        await wait_for_end(wrong)


@pytest.mark.parametrize("error", [None, ValueError("no")])
async def test_a_caller_that_is_cancelled_again_and_again_waits_for_the_end(
    error: Exception | None,
) -> None:
    work = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        caller = group.create_task(wait_for_end(work))
        for _ in range(3):
            await asyncio.sleep(0)
            caller.cancel()
        await asyncio.sleep(0)
        assert not caller.done()
        assert not work.cancelled()
        work.set_exception(error) if error is not None else work.set_result(7)
    assert caller.cancelled()


async def test_work_that_is_itself_cancelled_ends_the_caller() -> None:
    work = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        caller = group.create_task(wait_for_end(work))
        await asyncio.sleep(0)
        work.cancel()
    assert caller.cancelled()


async def test_of_two_the_first_failure_is_raised_bare_and_ends_the_other() -> None:
    ended: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.Future()
        finally:
            await asyncio.sleep(0)
            ended.append("the other")

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    for pair in ((waits(), fails()), (fails(), waits())):
        with pytest.raises(ValueError, match="no"):
            await both(*pair)
    assert ended == ["the other"] * 2


async def test_two_end_with_a_caller_that_is_cancelled() -> None:
    ended: list[int] = []

    async def waits(number: int) -> None:
        try:
            await asyncio.Future()
        finally:
            await asyncio.sleep(0)
            ended.append(number)

    async with asyncio.TaskGroup() as group:
        caller = group.create_task(both(waits(1), waits(2)))
        await asyncio.sleep(0)
        caller.cancel()
    assert caller.cancelled()
    assert ended == [1, 2]


async def test_a_time_limit_around_two_of_which_one_failed_is_told_as_one() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    async def nothing() -> None:
        return

    async def limited() -> None:
        async with asyncio.timeout(None) as limit:
            with pytest.raises(ValueError, match="no"):
                await both(fails(), nothing())
            limit.reschedule(0)
            await asyncio.Future()

    with pytest.raises(TimeoutError):
        await limited()
