"""Blocking work off the event loop, and several pieces of it at once, with nothing left behind."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TypeVar

from hakoiri.host.begun_work import wait_for_end
from hakoiri.host.files.ports import FilesError

Item = TypeVar("Item")
Answer = TypeVar("Answer")


async def run_in_thread(function: Callable[[], Answer]) -> Answer:
    """Run `function` in a worker thread; a cancelled caller still waits for its end.

    So a descriptor that the thread uses is never closed, and its number never reused, under it.
    """
    return await wait_for_end(asyncio.get_running_loop().run_in_executor(None, function))


async def run_bounded(
    items: Iterable[Item], work: Callable[[Item], Awaitable[None]], *, at_once: int
) -> None:
    """Do `work` on each item, `at_once` at a time; the first `FilesError` ends all."""
    remaining: Iterator[Item] = iter(items)

    async def work_on() -> None:
        for item in remaining:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(work_on())
    except ExceptionGroup as group_error:
        for error in group_error.exceptions:
            if not isinstance(error, FilesError):
                raise
        raise group_error.exceptions[0] from group_error
