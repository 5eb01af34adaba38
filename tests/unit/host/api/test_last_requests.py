from collections.abc import MutableMapping
from typing import Any

import anyio
import pytest
from starlette.types import Receive, Scope, Send
from tests.unit.host.api.served import Served, problem

from hakoiri.host.api.last_requests import EndableRequests, LastRequests
from hakoiri.wire.problems import Problem

pytestmark = pytest.mark.anyio

SCOPE = {"type": "http", "method": "GET", "path": "/"}
START = {"type": "http.response.start", "status": 200, "headers": []}
PIECE = {"type": "http.response.body", "body": b"half", "more_body": True}


class Client:
    """Takes what is sent; its connection ends when told."""

    def __init__(self) -> None:
        self.gone = anyio.Event()
        self.sent: list[MutableMapping[str, Any]] = []

    async def receive(self) -> MutableMapping[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.sent.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


async def silent(scope: Scope, receive: Receive, send: Send) -> None:
    await anyio.sleep_forever()


async def half(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await send(PIECE)
    await anyio.sleep_forever()


async def test_a_request_that_ends_is_left_alone_and_forgotten() -> None:
    async def whole(scope: Scope, receive: Receive, send: Send) -> None:
        assert len(requests) == 1
        await send(START)
        await send({"type": "http.response.body", "body": b"all"})

    requests, client = LastRequests(), Client()
    await EndableRequests(whole, requests=requests)(SCOPE, client.receive, client.send)
    assert client.body == b"all"
    assert len(requests) == 0


async def test_what_a_request_raises_is_passed_on_and_it_is_forgotten() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError("as it is")

    requests, client = LastRequests(), Client()
    with pytest.raises(ZeroDivisionError, match="as it is"):
        await EndableRequests(broken, requests=requests)(SCOPE, client.receive, client.send)
    assert len(requests) == 0


@pytest.mark.parametrize("end", [LastRequests.refuse_unanswered, LastRequests.cut_off])
async def test_a_request_without_an_answer_is_told_that_the_server_stops(end: Any) -> None:
    requests, client = LastRequests(), Client()
    async with anyio.create_task_group() as group:
        app = EndableRequests(silent, requests=requests)
        group.start_soon(app, SCOPE, client.receive, client.send)
        await anyio.wait_all_tasks_blocked()
        end(requests)
    assert client.sent[0]["status"] == 503
    assert (b"connection", b"close") in client.sent[0]["headers"]
    told = Problem.model_validate_json(client.body)
    assert told.code == "server-stopping"
    assert len(requests) == 0


async def test_half_an_answer_is_never_ended_as_if_it_were_whole() -> None:
    requests, client = LastRequests(), Client()
    async with anyio.create_task_group() as group:
        app = EndableRequests(half, requests=requests)
        group.start_soon(app, SCOPE, client.receive, client.send)
        await anyio.wait_all_tasks_blocked()
        requests.refuse_unanswered()
        await anyio.wait_all_tasks_blocked()
        assert len(requests) == 1  # it may still end by itself
        requests.cut_off()
        await anyio.wait_all_tasks_blocked()
        assert client.sent == [START, PIECE]
        client.gone.set()  # the server has cut the connection
    assert client.sent == [START, PIECE]


async def test_what_is_no_request_passes() -> None:
    seen: list[str] = []

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    client = Client()
    app = EndableRequests(lifespan, requests=LastRequests())
    await app({"type": "lifespan"}, client.receive, client.send)
    assert seen == ["lifespan"]


async def test_the_application_tells_it_to_a_client_whose_body_never_came() -> None:
    served = Served()
    body = anyio.Event()

    async def never() -> Any:
        body.set()
        await anyio.sleep_forever()
        yield b""

    async with served.client() as client, anyio.create_task_group() as group:

        async def end() -> None:
            await body.wait()
            await anyio.wait_all_tasks_blocked()
            served.requests.refuse_unanswered()

        group.start_soon(end)
        answer = await client.post(
            "/v1/conversations", content=never(), headers={"Content-Type": "application/json"}
        )
    assert (answer.status_code, problem(answer)) == (503, "server-stopping")
    assert answer.headers["retry-after"] == "5"
