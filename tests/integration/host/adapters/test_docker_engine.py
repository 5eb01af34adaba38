"""The engine's client against guards that are away, refuse, or break off."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from hakoiri.host.adapters.docker import DockerEngine
from hakoiri.host.containers.ports import EngineAwayError, EngineError, EngineFaultError

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def guard(
    socket: Path, answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> AsyncIterator[None]:
    """A guard that answers everything alike."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.UnixSite(runner, str(socket)).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def calls(engine: DockerEngine) -> list[EngineError]:
    """What the calls of a start end in."""
    found = []
    for call in (
        engine.make_box("c1"),
        engine.create(name="hakoiri-c1", config={"Image": "i"}),
        engine.start("hakoiri-c1"),
        engine.list_ours("i1"),
        engine.list_boxes(),
    ):
        with pytest.raises(EngineError) as raised:
            await call
        found.append(raised.value)
    return found


async def test_a_guard_that_is_not_there_is_away(tmp_path: Path) -> None:
    async with DockerEngine(f"unix://{tmp_path}/nobody.sock") as engine:
        assert {type(error) for error in await calls(engine)} == {EngineAwayError}


async def test_a_guard_that_nobody_listens_for_any_more_is_away(tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response()

    async with guard(tmp_path / "guard.sock", answer):
        left = tmp_path / "left.sock"
        (tmp_path / "guard.sock").rename(left)  # its file stays when it is killed
    async with DockerEngine(f"unix://{left}") as engine:
        assert {type(error) for error in await calls(engine)} == {EngineAwayError}


@pytest.mark.parametrize(
    ("status", "kind"),
    [(503, EngineAwayError), (500, EngineFaultError), (409, EngineError), (507, EngineError)],
)
async def test_only_the_guards_word_for_an_engine_that_is_away_counts_as_that(
    tmp_path: Path, status: int, kind: type[EngineError]
) -> None:
    async def answer(_: web.Request) -> web.Response:
        problem = {"title": "t", "status": status, "code": "engine-away", "detail": "what it is"}
        return web.json_response(problem, status=status)

    async with (
        guard(tmp_path / "guard.sock", answer),
        DockerEngine(f"unix://{tmp_path}/guard.sock") as engine,
    ):
        errors = await calls(engine)
    assert {type(error) for error in errors} == {kind}
    assert all("what it is" in str(error) for error in errors)


async def test_a_guard_that_breaks_off_is_away(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with (
        guard(tmp_path / "guard.sock", answer),
        DockerEngine(f"unix://{tmp_path}/guard.sock") as engine,
    ):
        assert {type(error) for error in await calls(engine)} == {EngineAwayError}
