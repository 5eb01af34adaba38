"""The one loader for all: its own process, raw protocols, answers of known length.

Prints one JSON object: requests a second, and p50, p95 and p99 in milliseconds of a request, or of
the delay of an event.
"""

import argparse
import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import cast

import uvloop

_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"(?i)content-length: ([0-9]+)")
_EVENT = re.compile(rb"data: (\S+) ")


@dataclass
class Result:
    """What was measured, in seconds."""

    taken_s: list[float] = field(default_factory=list)


class Client(asyncio.Protocol):
    """Asks again and again on one connection."""

    def __init__(
        self, request: bytes, times: int, result: Result, done: asyncio.Future[None]
    ) -> None:
        self.request = request
        self.left = times
        self.result = result
        self.done = done
        self.head = b""
        self.wanted: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.ask()

    def ask(self) -> None:
        self.head, self.wanted = b"", None
        self.started_s = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        if self.wanted is None:
            self.head += data
            end = self.head.find(_HEAD_END)
            if end < 0:
                return
            length = _LENGTH.search(self.head, 0, end)
            if not self.head.startswith(b"HTTP/1.1 200") or length is None:
                self.done.set_exception(RuntimeError(self.head[:300].decode("latin-1")))
                self.transport.close()
                return
            self.wanted = int(length[1]) - (len(self.head) - end - len(_HEAD_END))
        else:
            self.wanted -= len(data)
        if self.wanted == 0:
            self.finish_one()

    def finish_one(self) -> None:
        self.result.taken_s.append(time.perf_counter() - self.started_s)
        self.left -= 1
        if self.left:
            self.ask()
        else:
            self.transport.close()
            self.done.set_result(None)


class EventClient(Client):
    """Reads one stream, and notes how late each event is."""

    def data_received(self, data: bytes) -> None:
        now_s = time.perf_counter()
        self.result.taken_s += [now_s - float(event[1]) for event in _EVENT.finditer(data)]
        if data.endswith(b"0\r\n\r\n"):
            self.transport.close()
            self.done.set_result(None)


async def load(arguments: argparse.Namespace) -> dict[str, float]:
    loop, result, waiting = asyncio.get_running_loop(), Result(), []
    made = EventClient if arguments.events else Client
    # a model request is JSON: one long text
    body = b'{"x":"%b"}' % (b"x" * (arguments.body - 8)) if arguments.body else b""
    head = f"{arguments.method} {arguments.target} HTTP/1.1\r\nHost: {arguments.host}\r\n"
    head += f"Content-Length: {len(body)}\r\n" if body else ""
    request = head.encode() + b"\r\n" + body
    started_s = time.perf_counter()
    for index in range(arguments.clients):
        done: asyncio.Future[None] = loop.create_future()
        waiting.append(done)
        client = made(request, arguments.requests // arguments.clients, result, done)
        to = arguments.to[index % len(arguments.to)]
        if to.isdigit():
            await loop.create_connection(lambda c=client: c, "127.0.0.1", int(to))  # type: ignore[misc]
        else:
            await loop.create_unix_connection(lambda c=client: c, to)  # type: ignore[misc]
    await asyncio.gather(*waiting)
    took_s = time.perf_counter() - started_s
    taken = sorted(result.taken_s)
    return {
        "per_s": len(taken) / took_s,
        "p50_ms": taken[len(taken) // 2] * 1000,
        "p95_ms": taken[int(len(taken) * 0.95)] * 1000,
        "p99_ms": taken[int(len(taken) * 0.99)] * 1000,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--to", nargs="+", required=True, help="Unix sockets, or a port")
    parser.add_argument("--target", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--method", default="GET")
    parser.add_argument("--body", type=int, default=0)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--requests", type=int, default=1)
    parser.add_argument("--events", action="store_true")
    print(json.dumps(uvloop.run(load(parser.parse_args()))))


if __name__ == "__main__":
    main()
