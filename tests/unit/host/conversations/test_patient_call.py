import asyncio

import anyio
import pytest

from hakoiri.host.conversations.patient_call import PatientCall

pytestmark = pytest.mark.anyio


class Slow:
    """Waits for ever; when cancelled, cleans up in several steps."""

    def __init__(self) -> None:
        self.steps = 0

    async def __call__(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(3):
                await asyncio.sleep(0)
                self.steps += 1


async def test_a_call_gives_its_answer_and_its_errors() -> None:
    async def answer() -> int:
        return 7

    async def fail() -> None:
        raise ZeroDivisionError

    call = PatientCall()
    assert await call.run(answer()) == 7
    with pytest.raises(ZeroDivisionError):
        await call.run(fail())
    call.end()


async def test_a_call_that_is_ended_cleans_up_to_the_end() -> None:
    call, slow = PatientCall(), Slow()
    failed: list[Exception] = []

    async def run() -> None:
        try:
            await call.run(slow())
        except TimeoutError as error:
            failed.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
        call.end()
        call.end()
    assert slow.steps == 3
    assert failed


async def test_a_call_over_its_limit_cleans_up_to_the_end() -> None:
    slow = Slow()
    with pytest.raises(TimeoutError):
        await PatientCall().run(slow(), timeout_s=0.01)
    assert slow.steps == 3


async def test_a_scope_that_is_cancelled_ends_the_call_once_and_it_cleans_up() -> None:
    slow = Slow()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: PatientCall().run_within_scope(slow()))
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    assert slow.steps == 3


async def test_within_a_scope_answers_and_errors_are_as_they_are() -> None:
    async def answer() -> int:
        return 7

    async def fail() -> None:
        raise ZeroDivisionError

    assert await PatientCall().run_within_scope(answer()) == 7
    with pytest.raises(ZeroDivisionError):
        await PatientCall().run_within_scope(fail())
