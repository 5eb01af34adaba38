"""Sends lines to a syslog receiver, over TCP, TLS or its Unix socket.

Syslog has no word for "received". So each batch has a connection of its own, which is half closed
after it: a receiver that then closes its side has read to the end. One that dies before that has
not, and the batch is sent again. The Unix socket takes each message whole, and tells no more.
"""

import socket
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from hakoiri.audit.shipping.configuration import SyslogTarget
from hakoiri.audit.shipping.source import Batch
from hakoiri.audit.shipping.syslog_message import framed, message_of
from hakoiri.audit.shipping.targets import TargetError

TIMEOUT_S: Final = 10.0
"""Of one step: connecting, sending a piece, waiting for the end."""

_DATAGRAM_BYTES: Final = 256 * 1024


class SyslogSender:
    """Speaks to one receiver."""

    def __init__(
        self, target: SyslogTarget, *, instance: str, host: str, timeout_s: float = TIMEOUT_S
    ) -> None:
        """`host` is this machine's name, as the messages tell it."""
        self._address = urlsplit(target.address)
        self._ca_file = target.ca_file
        self._instance = instance
        self._host = host
        self._timeout_s = timeout_s

    def send(self, chain: str, batch: Batch) -> None:
        """Send every line; return when the receiver has read them. Raises `OSError`."""
        messages = [
            message_of(line, chain=chain, host=self._host, instance=self._instance)
            for line in batch.data.splitlines(keepends=True)
        ]
        if self._address.scheme == "unix":
            self._send_datagrams(Path(self._address.path), messages)
        else:
            self._send_stream(b"".join(map(framed, messages)))

    def _send_datagrams(self, path: Path, messages: list[bytes]) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(self._timeout_s)
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _DATAGRAM_BYTES)
            sender.connect(str(path))
            for message in messages:
                sender.send(message)

    def _send_stream(self, data: bytes) -> None:
        host, port = self._address.hostname or "", self._address.port or 0
        with socket.create_connection((host, port), timeout=self._timeout_s) as plain:
            if self._address.scheme == "tcp":
                plain.sendall(data)
                plain.shutdown(socket.SHUT_WR)
                _until_closed(plain)
                return
            context = ssl.create_default_context(cafile=self._ca_file)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            with context.wrap_socket(plain, server_hostname=host) as encrypted:
                encrypted.sendall(data)
                # TLS has a goodbye of its own, which nobody on the way can say for the receiver
                with encrypted.unwrap() as bare:
                    bare.settimeout(self._timeout_s)


def _until_closed(connection: socket.socket) -> None:
    """Wait until the receiver has closed its side; what it says meanwhile does not matter."""
    for _ in range(16):
        if not connection.recv(4096):
            return
    raise TargetError("the receiver talks in place of reading")
