"""Calls that start or stop containers: cancelled at most once, then waited for.

An anyio scope cancels whatever its task awaits, again and again until the task is out of it. A
container that is half started has to be removed by calls that take time; cancelled at each of them
it would be left over, with its claim. So these calls are shielded from scopes, and are ended by one
plain cancellation, after which they clean up in peace. Their own steps are bounded.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import anyio

Answer = TypeVar("Answer")


class PatientCall:
    """Runs one call at a time, which `end` cancels once."""

    def __init__(self) -> None:
        self._deadline: asyncio.Timeout | None = None

    async def run(self, call: Awaitable[Answer], *, timeout_s: float | None = None) -> Answer:
        """Return what the call returns; `TimeoutError` after the limit, or after `end`."""
        answer: list[Answer] = []
        with anyio.CancelScope(shield=True):
            try:
                async with asyncio.timeout(timeout_s) as self._deadline:
                    answer.append(await call)
            finally:
                self._deadline = None
        return answer[0]

    async def run_within_scope(self, call: Awaitable[Answer]) -> Answer:
        """As `run`, but when a scope around it is cancelled the call is ended, once."""
        answer: list[Answer] = []
        failure: Exception | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._end_with_scope)
            try:
                answer.append(await self.run(call))
            except Exception as error:  # noqa: BLE001 - raised again, not as part of a group
                failure = error
            group.cancel_scope.cancel()
        await anyio.lowlevel.checkpoint_if_cancelled()
        if failure is not None:
            raise failure
        return answer[0]

    async def _end_with_scope(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            self.end()

    def end(self) -> None:
        """Cancel the call that runs, if one does."""
        if self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(asyncio.get_running_loop().time())
            self._deadline = None
