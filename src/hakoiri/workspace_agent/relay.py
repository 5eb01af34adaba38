"""The container's only way out: 127.0.0.1 port 3128, carried to the proxy's Unix socket.

Programs speak to proxies over TCP; the wall lets a Unix socket through. Bytes are carried as they
are, both ways, each direction ending on its own (a half-closed connection stays half-open). What
may pass is decided outside, by the proxy.
"""

import asyncio
from pathlib import Path
from typing import Final, Self

CHUNK_BYTES: Final = 64 * 1024
CONNECTION_LIMIT: Final = 256
"""Above any real use of one agent; the proxy has limits of its own."""

CONNECT_TIMEOUT_S: Final = 5.0


class Relay:
    """Listens on loopback and carries each connection to the proxy's socket."""

    def __init__(
        self, *, proxy_socket: Path, port: int, connection_limit: int = CONNECTION_LIMIT
    ) -> None:
        """Carry connections to `port` (0 for any free one) to `proxy_socket`."""
        self._proxy_socket = proxy_socket
        self._port = port
        self._limit = connection_limit
        self._open: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._server is None:
            raise RuntimeError("the relay is not started")
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        """Listen. Raises `OSError` if the port is taken."""
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", self._port, limit=CHUNK_BYTES
        )
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Stop listening, and cut what is open."""
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._open) >= self._limit:
            writer.transport.abort()
            return
        self._open.add(task)
        try:
            await self._carry(reader, writer)
        finally:
            self._open.discard(task)
            # whatever was to be sent has been: see `_copy`
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                proxy_reader, proxy_writer = await asyncio.open_unix_connection(
                    self._proxy_socket, limit=CHUNK_BYTES
                )
        except (OSError, TimeoutError):
            # away: the program sees a closed connection at once, rather than one that hangs
            return
        # all that was written must be sent before the end, so a writer never holds any of it back
        for each in (writer, proxy_writer):
            each.transport.set_write_buffer_limits(high=0)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, proxy_writer), name="to the proxy")
                group.create_task(_copy(proxy_reader, writer), name="from the proxy")
        except* OSError:
            pass  # one side was cut, and the group has ended the other direction
        finally:
            proxy_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes until the sender ends, then end there too.

    Each chunk is drained before the next is read: a reader that stalls holds up its sender, and
    memory stays bounded.
    """
    while chunk := await reader.read(CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()
