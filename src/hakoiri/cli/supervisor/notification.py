"""Tells the service manager how far the supervisor is: sd_notify(3), a datagram to its socket."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

SOCKET_VARIABLE: Final = "NOTIFY_SOCKET"
READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"


def notify(state: str, *, environment: Mapping[str, str] = os.environ) -> None:
    """Send a state; nothing happens where no service manager waits for one, or it is away.

    The socket is a path, or a name in the abstract name space, written with an `@` before it.
    """
    address = environment.get(SOCKET_VARIABLE, "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = f"\0{address[1:]}"
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(address)
        sender.send(state.encode())
