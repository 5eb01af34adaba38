import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from hakoiri.credential_proxy.credentials.refreshed_value import (
    RETRY_AFTER_S,
    Lease,
    RefreshedValue,
    RefreshTasks,
    lease_for,
)
from hakoiri.credential_proxy.errors import ConfigurationError, CredentialError

pytestmark = pytest.mark.anyio
FRESH_S, VALID_S = 100.0, 200.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Origin:
    """Somebody who is asked for a value; a test opens the gate and sets the clock."""

    now_s: float = 0.0
    asked: int = 0
    cancelled: int = 0
    error: Exception | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: RefreshTasks = field(default_factory=RefreshTasks)

    async def fetch(self) -> Lease[str]:
        self.asked += 1
        number = self.asked
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return lease_for(f"v{number}", clock_s=lambda: self.now_s, fresh_s=FRESH_S, valid_s=VALID_S)

    def value(self, timeout_s: float = 10.0) -> RefreshedValue[str]:
        return RefreshedValue(
            name="credentials.a",
            fetch=self.fetch,
            clock_s=lambda: self.now_s,
            timeout_s=timeout_s,
            tasks=self.tasks,
        )

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    origin = Origin()
    origin.gate.set()
    yield origin
    await origin.tasks.close()


async def test_many_who_wait_ask_once(origin: Origin) -> None:
    origin.gate.clear()
    value = origin.value()
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(value.get()) for _ in range(50)]
        await origin.settle()
        origin.gate.set()
    assert {task.result() for task in waiting} == {"v1"}
    assert origin.asked == 1


async def test_what_is_fresh_asks_nobody_and_starts_no_task(origin: Origin) -> None:
    value = origin.value()
    await value.get()
    origin.now_s = FRESH_S - 1
    tasks = len(asyncio.all_tasks())
    assert value.current() == await value.get() == "v1"
    assert len(asyncio.all_tasks()) == tasks
    assert origin.asked == 1


async def test_the_old_value_serves_while_the_next_is_fetched_and_then_the_next_is_used(
    origin: Origin,
) -> None:
    value = origin.value()
    await value.get()
    origin.gate.clear()
    origin.now_s = FRESH_S
    for _ in range(10):
        assert value.current() == await value.get() == "v1"
    await origin.settle()
    assert origin.asked == 2
    origin.gate.set()
    await origin.settle()
    assert value.current() == "v2"
    assert value.held() == ("v2", "v1")


async def test_a_failure_keeps_the_old_value_until_it_ends_and_is_told(origin: Origin) -> None:
    value = origin.value()
    await value.get()
    origin.error = CredentialError("no answer from planted")
    origin.now_s = FRESH_S
    value.current()
    await origin.settle()
    assert value.current() == "v1"
    assert value.fault == "credentials.a: no answer from planted"
    assert origin.tasks.failures == {"credentials.a": 1}
    origin.now_s = VALID_S
    assert value.current() is None
    with pytest.raises(CredentialError, match="no answer"):
        await value.get()
    origin.error, origin.now_s = None, VALID_S + RETRY_AFTER_S
    assert await value.get() == f"v{origin.asked}"
    assert value.fault is None


@pytest.mark.parametrize("error", [CredentialError("nothing"), ConfigurationError("nothing")])
async def test_who_fails_is_not_asked_again_at_once(origin: Origin, error: Exception) -> None:
    value = origin.value()
    origin.error = error
    for _ in range(3):
        with pytest.raises(CredentialError, match="nothing"):
            await value.get()
    assert origin.asked == 1
    origin.error, origin.now_s = None, RETRY_AFTER_S
    assert await value.get() == "v2"


async def test_who_does_not_answer_is_given_up(origin: Origin) -> None:
    origin.gate.clear()
    value = origin.value(timeout_s=0.0)
    with pytest.raises(CredentialError, match="no answer within 0 s"):
        await value.get()


async def test_a_request_that_goes_away_does_not_end_the_question_for_the_others(
    origin: Origin,
) -> None:
    origin.gate.clear()
    value = origin.value()
    async with asyncio.TaskGroup() as group:
        leaving, staying = group.create_task(value.get()), group.create_task(value.get())
        await origin.settle()
        leaving.cancel()
        await origin.settle()
        origin.gate.set()
    assert staying.result() == "v1"
    assert (origin.asked, origin.cancelled) == (1, 0)


async def test_closing_ends_the_questions_and_those_who_wait_are_told(origin: Origin) -> None:
    origin.gate.clear()
    value = origin.value()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(_refused(value))
        await origin.settle()
        await origin.tasks.close()
    assert waiting.result() == "credentials.a: what was given has ended"
    assert origin.cancelled == 1


async def _refused(value: RefreshedValue[str]) -> str:
    with pytest.raises(CredentialError) as refused:
        await value.get()
    return str(refused.value)
