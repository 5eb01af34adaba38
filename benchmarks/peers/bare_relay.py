"""A relay of a few lines for CONNECT: no policy, no record, no checks, the same event loop."""

import asyncio
import sys
from typing import Any

import uvloop


class Side(asyncio.Protocol):
    """One side; what comes goes to the other."""

    other: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.other.transport.write(data)

    def pause_writing(self) -> None:
        self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self.other is not None:
            self.other.transport.close()


class Front(Side):
    """The client's side: the first bytes say where to."""

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            super().data_received(data)
            return
        host, port = data.split()[1].decode().split(":")
        self.opening = asyncio.get_running_loop().create_task(self.open(host, int(port)))

    async def open(self, host: str, port: int) -> None:
        other = Side()
        other.other = self
        await asyncio.get_running_loop().create_connection(lambda: other, host, port)
        self.other = other
        self.transport.write(b"HTTP/1.1 200 OK\r\n\r\n")


async def main(path: str) -> None:
    server = await asyncio.get_running_loop().create_unix_server(Front, path)
    await server.serve_forever()


uvloop.run(main(sys.argv[1]))
