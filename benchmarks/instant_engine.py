"""An engine that answers at once, as a real one answered: what is left of a call is the guard's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiodocker
from aiohttp import web

from hakoiri.wire.guard import API_VERSION


@dataclass(frozen=True, slots=True)
class Recorded:
    """A real engine's answers about one running container and its image."""

    info: dict[str, Any]
    image: dict[str, Any]
    container: dict[str, Any]
    listed: list[Any]

    @classmethod
    async def of(
        cls, engine: aiodocker.Docker, *, image: str, name: str, filters: str
    ) -> "Recorded":
        """Ask the engine once."""
        shown = await engine.containers.container(name).show()
        listed = await engine._query_json(  # noqa: SLF001 - its list() drops what was said
            "containers/json", method="GET", params={"all": "1", "filters": filters}
        )
        return cls(
            info=dict(await engine.system.info()),
            image=dict(await engine.images.inspect(image)),
            container=dict(shown),
            listed=list(listed),
        )

    def answer(self, method: str, path: str) -> web.Response:
        """Return what the real one said, or would have said."""
        asked = path.removeprefix(f"/{API_VERSION}").strip("/")
        told: dict[str, object] = {
            "version": {"ApiVersion": API_VERSION.removeprefix("v")},
            "info": self.info,
            "containers/json": self.listed,
        }
        if asked == "containers/create":
            return web.json_response({"Id": self.container["Id"], "Warnings": []}, status=201)
        if method != "GET":
            return web.Response(status=204)
        of_one = self.image if asked.startswith("images/") else self.container
        return web.json_response(told.get(asked, of_one))


@asynccontextmanager
async def instant_engine(recorded: Recorded, socket: Path) -> AsyncIterator[str]:
    """Serve the answers; give the address."""

    async def answer(request: web.BaseRequest) -> web.Response:
        await request.read()
        return recorded.answer(request.method, request.path)

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    try:
        await web.UnixSite(runner, str(socket)).start()
        yield f"unix://{socket}"
    finally:
        await runner.cleanup()
