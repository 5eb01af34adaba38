from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from hakoiri.docker_guard import engine_client
from hakoiri.docker_guard.engine_client import EngineAnswer, EngineClient
from hakoiri.docker_guard.refusal import CallRefusedError

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def engine_saying(path: Path, response: web.Response) -> AsyncIterator[EngineClient]:
    async def answer(_: web.BaseRequest) -> web.Response:
        return response

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    try:
        async with EngineClient(f"unix://{path}") as client:
            yield client
    finally:
        await runner.cleanup()


async def test_an_answer_is_its_status_and_document(tmp_path: Path) -> None:
    async with engine_saying(tmp_path / "s", web.json_response({"Id": "x"})) as client:
        assert await client.call("GET", "/info") == EngineAnswer(200, {"Id": "x"})


async def test_an_engine_that_is_away_is_named_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with EngineClient(f"unix://{path}") as client:
        for _ in range(2):
            with pytest.raises(CallRefusedError, match=str(path)) as refused:
                await client.call("GET", "/info")
            assert (refused.value.status, refused.value.code) == (503, "engine-away")
            async with engine_saying(path, web.Response(status=204)):
                assert await client.call("POST", "/x") == EngineAnswer(204, None)


async def test_the_engines_own_reason_is_passed_on_bounded(tmp_path: Path) -> None:
    said = web.json_response({"message": "no such image" + "!" * 5000}, status=404)
    async with engine_saying(tmp_path / "s", said) as client:
        with pytest.raises(CallRefusedError, match="no such image") as refused:
            await client.call("GET", "/images/x/json")
    assert refused.value.status == 404
    assert len(refused.value.detail) <= 1000


async def test_an_endless_answer_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_client, "ANSWER_LIMIT_BYTES", 1000)
    async with engine_saying(tmp_path / "s", web.Response(text="x" * 2000)) as client:
        with pytest.raises(CallRefusedError, match="too long"):
            await client.call("GET", "/info")


async def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    elsewhere = web.Response(status=302, headers={"Location": "http://other.test/"})
    async with engine_saying(tmp_path / "s", elsewhere) as client:
        assert (await client.call("GET", "/info")).status == 302
