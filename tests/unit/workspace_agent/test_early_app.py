import asyncio
from typing import Any

import pytest

from hakoiri.wire.agent import AgentHealth
from hakoiri.workspace_agent.early_app import EarlyApp, Receive, Scope, Send

pytestmark = pytest.mark.anyio


async def ask(app: EarlyApp, path: str) -> list[Any]:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "http", "path": path}, receive, send)
    return sent


async def real_app(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"really": scope["path"]})


async def test_health_is_answered_before_anything_is_loaded() -> None:
    start, body = await ask(EarlyApp(), "/health")
    assert start["status"] == 200
    assert AgentHealth.model_validate_json(body["body"]).state == "ready"


async def test_other_requests_wait_for_the_real_application() -> None:
    early = EarlyApp()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(ask(early, "/turns"))
        await asyncio.sleep(0)
        assert not waiting.done()
        early.become(real_app)
    assert waiting.result() == [{"really": "/turns"}]
    assert await ask(early, "/health") == [{"really": "/health"}]


async def test_one_request_given_up_does_not_take_the_others_application() -> None:
    early = EarlyApp()
    async with asyncio.TaskGroup() as group:
        given_up = group.create_task(ask(early, "/turns"))
        waiting = group.create_task(ask(early, "/turns"))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.sleep(0)
        early.become(real_app)
    assert waiting.result() == [{"really": "/turns"}]
