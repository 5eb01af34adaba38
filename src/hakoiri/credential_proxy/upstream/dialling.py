"""Connecting to one of several checked addresses."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Final

from hakoiri.credential_proxy.errors import UpstreamError

CONNECT_TIMEOUT_S: Final = 10.0


async def dial(
    addresses: Sequence[str], *, port: int, timeout_s: float = CONNECT_TIMEOUT_S
) -> tuple[socket.socket, str]:
    """Connect to the first of `addresses` that answers; return the socket and that address.

    The addresses share the time evenly, so that one that drops packets does not use it all.

    Raises:
        UpstreamError: none answers in time.
    """
    is_late = False
    for address in addresses:
        try:
            async with asyncio.timeout(timeout_s / len(addresses)):
                return await _connect(address, port), address
        except TimeoutError:
            is_late = True
        except OSError:
            continue
    if is_late:
        raise UpstreamError(
            "upstream-timeout", "the host did not take the connection in time", status=504
        )
    raise UpstreamError("upstream-unreachable", "the host took no connection")


async def _connect(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(connection, (address, port))
    except BaseException:
        connection.close()
        raise
    return connection
