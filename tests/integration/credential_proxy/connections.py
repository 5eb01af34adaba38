"""Connections of the tests, none of which stays open when its test fails."""

import asyncio
from contextlib import suppress
from pathlib import Path

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_OPEN: list[asyncio.StreamWriter] = []


async def opened(socket: Path, *, limit: int = 65536) -> Streams:
    """Connect; what the test does not close is closed by `close_all` after it."""
    reader, writer = await asyncio.open_unix_connection(socket, limit=limit)
    _OPEN.append(writer)
    return reader, writer


async def cut(writer: asyncio.StreamWriter) -> None:
    """Close, and see it closed: what was not sent yet would keep a transport open."""
    with suppress(AttributeError):  # of asyncio's TLS, where it has ended already
        writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


async def close_all() -> None:
    """Close what is open still; an unclosed transport would fail some later test."""
    while _OPEN:
        await cut(_OPEN.pop())
