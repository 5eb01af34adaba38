"""An upstream that sends events with the time at which it sent them: PORT=MILLISECONDS each."""

import asyncio
import sys
import time
from typing import cast

import uvloop

EVENTS = 60


class Connection(asyncio.Protocol):
    """Answers a request with a stream, an event each so many milliseconds."""

    def __init__(self, every_s: float) -> None:
        self.every_s = every_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        del data
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        self.transport.write(head + b"Transfer-Encoding: chunked\r\n\r\n")
        self.left = EVENTS
        self.send()

    def send(self) -> None:
        if self.transport.is_closing():
            return
        if self.left == 0:
            self.transport.write(b"0\r\n\r\n")
            return
        self.left -= 1
        event = b"data: %.6f %s\n\n" % (time.perf_counter(), b"y" * 100)
        self.transport.write(b"%x\r\n%b\r\n" % (len(event), event))
        asyncio.get_running_loop().call_later(self.every_s, self.send)


async def main(streams: list[str]) -> None:
    loop = asyncio.get_running_loop()
    for stream in streams:
        port, every_ms = map(int, stream.split("="))
        await loop.create_server(lambda e=every_ms: Connection(e / 1000), "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.Event().wait()


uvloop.run(main(sys.argv[1:]))
