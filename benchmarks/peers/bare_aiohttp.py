"""A reverse proxy of a few lines on aiohttp: no policy, no record, no checks."""

import asyncio
import sys

import aiohttp
from aiohttp import web


async def main(listen: str, upstream: str) -> None:
    """Forward all that comes on the Unix socket `listen` to `upstream`."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(auto_decompress=False, connector=connector) as session:

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            body = request.content if request.can_read_body else None
            async with session.request(
                request.method, upstream + request.path, headers=request.headers, data=body
            ) as answer:
                kept = {k: v for k, v in answer.headers.items() if k != "Transfer-Encoding"}
                response = web.StreamResponse(status=answer.status, headers=kept)
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
                return response

        runner = web.ServerRunner(web.Server(handle))
        await runner.setup()
        await web.UnixSite(runner, listen).start()
        await asyncio.Event().wait()


asyncio.run(main(sys.argv[1], sys.argv[2]))
