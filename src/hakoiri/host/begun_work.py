"""Work that must not be left half-way: once begun, its end is waited for."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Answer = TypeVar("Answer")


async def wait_for_end(work: "asyncio.Future[Answer]") -> Answer:
    """Return what `work` gives; a caller that is cancelled meanwhile still waits for its end.

    The cancellation is raised afterwards. `work` has to be bounded in time by itself.
    """
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError:
                continue
        if not work.cancelled():
            work.exception()  # seen here, so that it is not logged as forgotten
        raise


async def to_its_end(step: Coroutine[Any, Any, Answer]) -> Answer:
    """Do a step to its end, though the caller is cancelled meanwhile: as `wait_for_end`.

    For one that the other side goes on with when its caller has left, such as an engine: what it
    makes then would come after the removal and stay.
    """
    return await wait_for_end(asyncio.get_running_loop().create_task(step))


async def both(first: Coroutine[Any, Any, None], second: Coroutine[Any, Any, None]) -> None:
    """Do two things at once; when one fails or the caller is cancelled, the other is ended.

    Both have ended when this does. Raises the first failure by itself. Not a `TaskGroup`: before
    Python 3.13 one whose block has ended leaves its task counted as cancelled when a child fails
    (`Task.cancelling`), and a time limit around it then tells its end as a cancellation.
    """
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(first), loop.create_task(second)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await _ended(tasks)
    for task in tasks:
        if task in done:
            task.result()


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await wait_for_end(asyncio.gather(*tasks, return_exceptions=True))
