"""Blocking work off the event loop, and several pieces of it at once, with nothing left behind."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TypeVar

from hakoiri.host.begun_work import wait_for_end
from hakoiri.host.files.ports import FilesError

Item = TypeVar("Item")
Answer = TypeVar("Answer")


async def run_in_thread(
    function: Callable[[], Answer], *, threads: Executor | None = None
) -> Answer:
    """Run `function` in a worker thread; a cancelled caller still waits for its end.

    `threads` are those to take one of; the event loop's own if None.

    So a descriptor that the thread uses is never closed, and its number never reused, under it.
    """
    return await wait_for_end(asyncio.get_running_loop().run_in_executor(threads, function))


async def run_bounded(
    items: Iterable[Item], work: Callable[[Item], Awaitable[None]], *, at_once: int
) -> None:
    """Do `work` on each item, `at_once` at a time; the first `FilesError` ends all."""
    remaining: Iterator[Item] = iter(items)

    async def work_on() -> None:
        for item in remaining:
            await work(item)

    with first_of_many():
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(work_on())


async def run_in_order(
    items: Iterable[Item],
    begin: Callable[[Item], Awaitable[Answer]],
    use: Callable[[Answer], Awaitable[None]],
    *,
    ahead: int,
) -> None:
    """Begin each item up to `ahead` of the one whose answer is used; use them in order.

    The first `FilesError` ends all.
    """
    with first_of_many():
        async with asyncio.TaskGroup() as group:
            begun: deque[asyncio.Task[Answer]] = deque()
            for item in items:
                begun.append(group.create_task(_answer_of(begin, item)))
                if len(begun) > ahead:
                    await use(await begun.popleft())
            while begun:
                await use(await begun.popleft())


async def _answer_of(begin: Callable[[Item], Awaitable[Answer]], item: Item) -> Answer:
    return await begin(item)


@contextmanager
def first_of_many() -> Iterator[None]:
    """Raise the first `FilesError` of a group alone; a group with any other error as it is."""
    try:
        yield
    except ExceptionGroup as group_error:
        for error in group_error.exceptions:
            if not isinstance(error, FilesError):
                raise
        raise group_error.exceptions[0] from group_error
