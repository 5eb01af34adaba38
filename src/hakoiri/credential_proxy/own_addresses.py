"""Whether an address is this machine's own: what listens here is not on the internet.

A machine with a public address reaches its own services at it, past every firewall in front.
"""

import socket
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

KEPT_S: Final = 30.0
ENTRIES_LIMIT: Final = 1024
_ANY_PORT: Final = 9
_NOBODYS_V4: Final = "192.0.2.1"
_NOBODYS_V6: Final = "2001:db8::1"
"""Of the documentation ranges (RFC 5737 and 3849)."""


class OwnAddresses:
    """Asks the kernel, and keeps its answers for a short time."""

    def __init__(self, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._kept: dict[str, tuple[bool, float]] = {}

    def has(self, address: str) -> bool:
        """Whether `address`, in canonical text, is one of this machine's."""
        kept = self._kept.get(address)
        now_s = self._clock_s()
        if kept is not None and kept[1] > now_s:
            return kept[0]
        while len(self._kept) >= ENTRIES_LIMIT:
            del self._kept[next(iter(self._kept))]
        is_own = _is_own(address)
        self._kept[address] = (is_own, now_s + KEPT_S)
        return is_own


def _is_own(address: str) -> bool:
    """Ask the kernel; nothing is sent."""
    is_v6 = ":" in address
    if not _can_bind(address):
        return False
    # Where any address can be bound (net.ipv4.ip_nonlocal_bind) that says nothing.
    return not _can_bind(_NOBODYS_V6 if is_v6 else _NOBODYS_V4) or _is_sent_from_itself(address)


def _can_bind(address: str) -> bool:
    try:
        with _datagrams(address) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _is_sent_from_itself(address: str) -> bool:
    """Whether a packet to `address` would have it as its source."""
    try:
        with _datagrams(address) as probe:
            probe.connect((address, _ANY_PORT))
            source: str = probe.getsockname()[0]
    except OSError:
        return False
    return ip_address(source) == ip_address(address)


def _datagrams(address: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
