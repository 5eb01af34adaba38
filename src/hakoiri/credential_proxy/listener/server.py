"""The connections of one container's socket."""

import asyncio

from hakoiri.credential_proxy.listener.connection import (
    ContainerConnection,
    Handler,
    Unreadable,
)


class ContainerServer:
    """Makes and knows the connections of one container's socket."""

    def __init__(self, handler: Handler, *, unreadable: Unreadable) -> None:
        self.handler = handler
        self.unreadable = unreadable
        self.connections: set[ContainerConnection] = set()
        self.is_ending = False
        self._all_gone: asyncio.Future[None] | None = None

    def __call__(self) -> ContainerConnection:
        """Make the protocol of a new connection."""
        return ContainerConnection(self, loop=asyncio.get_running_loop())

    def cut(self) -> None:
        """Close every connection at once."""
        for connection in list(self.connections):
            connection.abort()

    def end(self) -> None:
        """Close idle connections now and the others after what runs on them."""
        self.is_ending = True
        for connection in list(self.connections):
            connection.end_when_idle()

    async def gone(self, *, timeout_s: float) -> None:
        """Wait until no connection is left, at most `timeout_s`."""
        if not self.connections:
            return
        self._all_gone = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._all_gone], timeout=timeout_s)

    def forget(self, connection: ContainerConnection) -> None:
        """The connection is gone."""
        self.connections.discard(connection)
        if not self.connections and self._all_gone is not None and not self._all_gone.done():
            self._all_gone.set_result(None)
