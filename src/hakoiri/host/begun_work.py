"""Work that must not be left half-way: once begun, its end is waited for."""

import asyncio
from typing import TypeVar

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
