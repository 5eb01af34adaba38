"""Work for a request that ends when its client goes away before there is an answer."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from starlette.types import Receive

Answer = TypeVar("Answer")


async def unless_left(receive: Receive, work: Callable[[], Awaitable[Answer]]) -> Answer | None:
    """Return what `work` returns; None if the client left first, and the work was cancelled.

    The request's body must have been read. Raises what `work` raises.
    """
    answer: list[Answer] = []
    failure: Exception | None = None
    async with anyio.create_task_group() as group:

        async def wait_for_leaving() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            group.cancel_scope.cancel()

        group.start_soon(wait_for_leaving)
        try:
            answer.append(await work())
        except Exception as error:  # noqa: BLE001 - raised again, not as part of a group
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return answer[0] if answer else None
