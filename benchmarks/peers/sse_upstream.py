"""An upstream that sends events with the time at which it sent them."""

import asyncio
import re
import sys
import time
from typing import cast

import uvloop

EVENTS = 60
_PATH = re.compile(rb"/sse/([0-9]+)")


class Connection(asyncio.Protocol):
    """Answers a request with a stream, an event each so many milliseconds."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        found = _PATH.search(data)
        if found is None:
            self.transport.close()
            return
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        self.transport.write(head + b"Transfer-Encoding: chunked\r\n\r\n")
        self.left, self.every_s = EVENTS, int(found[1]) / 1000
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


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port)
    await server.serve_forever()


uvloop.run(main(int(sys.argv[1])))
