"""A value that somebody has to be asked for, and asked again before it ends."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from hakoiri.credential_proxy.credentials.source import Rotation
from hakoiri.credential_proxy.errors import ConfigurationError, CredentialError

RETRY_AFTER_S: Final = 5.0
"""How long after a question that failed the next is asked; asking the metadata takes seconds."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Lease(Generic[Value]):
    """A value, whether it is time to ask for the next one, and whether it has ended."""

    value: Value
    is_due: Callable[[], bool]
    is_expired: Callable[[], bool]


def lease_for(
    value: Value, *, clock_s: Callable[[], float], fresh_s: float, valid_s: float
) -> Lease[Value]:
    """Return a lease of `value` that is due after `fresh_s` and ends after `valid_s`."""
    taken_s = clock_s()
    return Lease(
        value,
        is_due=lambda: clock_s() - taken_s >= fresh_s,
        is_expired=lambda: clock_s() - taken_s >= valid_s,
    )


class RefreshTasks:
    """Owns the questions that are under way; one of these for a process.

    `failures` counts those that failed, by the name of what was asked for.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self.failures: Counter[str] = Counter()

    def start(self, question: Coroutine[None, None, None], *, name: str) -> asyncio.Task[None]:
        """Start `question`, which must not raise."""
        task = asyncio.get_running_loop().create_task(question, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Cancel all questions, and wait until they have ended."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


class RefreshedValue(Generic[Value]):
    """Asks once for all who wait, in time, and keeps the old value while it holds.

    The question is a task of its own: a request that goes away does not end it for the others.
    """

    def __init__(
        self,
        *,
        name: str,
        fetch: Callable[[], Awaitable[Lease[Value]]],
        clock_s: Callable[[], float],
        timeout_s: float,
        tasks: RefreshTasks,
    ) -> None:
        """Ask nothing yet. `fetch` raises CredentialError or ConfigurationError."""
        self.fault: str | None = None
        self._name = name
        self._fetch = fetch
        self._clock_s = clock_s
        self._timeout_s = timeout_s
        self._tasks = tasks
        self._lease: Lease[Value] | None = None
        self._rotation: Rotation[Value] = Rotation()
        self._question: asyncio.Task[None] | None = None
        self._failed_s: float | None = None

    def current(self) -> Value | None:
        """Return the value while it holds; starts a question, without waiting, when one is due."""
        lease = self._lease
        if lease is None or lease.is_expired():
            return None
        if lease.is_due():
            self._ask()
        return self._rotation.newest

    async def get(self) -> Value:
        """Return the value, and wait for it if there is none that holds.

        Raises:
            CredentialError: there is none to be had now.
        """
        value = self.current()
        if value is not None:
            return value
        question = self._ask()
        if question is not None:
            await asyncio.wait((question,))
        lease, newest = self._lease, self._rotation.newest
        if lease is None or newest is None or lease.is_expired():
            raise CredentialError(self.fault or f"{self._name}: what was given has ended")
        return newest

    def held(self) -> tuple[Value, ...]:
        """Return the newest value and those it replaced."""
        return self._rotation.held

    def _ask(self) -> "asyncio.Task[None] | None":
        if self._question is not None and not self._question.done():
            return self._question
        failed_s = self._failed_s
        if failed_s is not None and self._clock_s() - failed_s < RETRY_AFTER_S:
            return None
        self._question = self._tasks.start(self._refresh(), name=f"refresh {self._name}")
        return self._question

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                lease = await self._fetch()
        except TimeoutError:
            self._failed(f"no answer within {self._timeout_s:g} s")
        except (CredentialError, ConfigurationError) as error:
            self._failed(str(error))
        else:
            self.fault = self._failed_s = None
            self._lease = lease
            self._rotation.replace(lease.value)

    def _failed(self, reason: str) -> None:
        self._tasks.failures[self._name] += 1
        self.fault = f"{self._name}: {reason}"
        self._failed_s = self._clock_s()
