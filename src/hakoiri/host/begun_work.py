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
