import asyncio

import pytest

from hakoiri.host.begun_work import wait_for_end

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
