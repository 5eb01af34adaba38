import anyio
import pytest
from starlette.types import Message

from hakoiri.host.api.client_leaving import unless_left

pytestmark = pytest.mark.anyio


class Client:
    """Goes away when told to."""

    def __init__(self) -> None:
        self.gone = anyio.Event()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}


async def test_the_answer_is_passed_on_while_the_client_is_there() -> None:
    async def work() -> int:
        return 7

    assert await unless_left(Client().receive, work) == 7


async def test_a_client_that_goes_ends_the_work() -> None:
    client = Client()
    ended: list[str] = []

    async def work() -> None:
        client.gone.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("work")

    await unless_left(client.receive, work)
    assert ended == ["work"]


async def test_an_error_is_passed_on_as_it_is() -> None:
    async def work() -> int:
        raise ZeroDivisionError("as it is")

    with pytest.raises(ZeroDivisionError, match="as it is"):
        await unless_left(Client().receive, work)
