"""Ways out of the box that are no files: socket families, addresses, names."""

import errno
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hakoiri.workspace_agent.probe.attempt import Attempt, RefusedError

CONNECT_TIMEOUT_S: Final = 2.0
_ETHERNET_ALL: Final = 0x0300
_FAMILIES: Final[dict[str, tuple[int, int, int]]] = {
    "packet": (17, socket.SOCK_RAW, _ETHERNET_ALL),
    "raw ipv4": (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "raw ipv6": (socket.AF_INET6, socket.SOCK_RAW, 58),
    "netlink route": (16, socket.SOCK_RAW, 0),
    "netlink netfilter": (16, socket.SOCK_RAW, 12),
    "netlink audit": (16, socket.SOCK_RAW, 9),
    "vsock": (40, socket.SOCK_STREAM, 0),
    "crypto: af_alg": (38, socket.SOCK_SEQPACKET, 0),
    "key: af_key": (15, socket.SOCK_RAW, 2),
    "can": (29, socket.SOCK_RAW, 1),
    "bluetooth": (31, socket.SOCK_RAW, 1),
    "tipc": (30, socket.SOCK_STREAM, 0),
    "xdp": (44, socket.SOCK_RAW, 0),
    "rds": (21, socket.SOCK_SEQPACKET, 0),
    "appletalk": (5, socket.SOCK_DGRAM, 0),
}
"""Family, kind and protocol by number (Linux, include/linux/socket.h): libc need not know them."""

_ADDRESSES: Final = {
    "metadata service": ("169.254.169.254", 80),
    "container credentials": ("169.254.170.2", 80),
    "metadata service ipv6": ("fd00:ec2::254", 80),
    "engine over tcp": ("172.17.0.1", 2375),
    "public ipv4": ("192.0.2.1", 443),
    "public ipv6": ("2001:db8::1", 443),
}
"""The last two are set aside for documentation (RFC 5737, RFC 3849)."""

WITHOUT_NETWORK: Final = frozenset(
    {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.ENETDOWN}
)
"""What a kernel says that has no way to an address (connect(2); gVisor says EHOSTUNREACH).

ECONNREFUSED is not among them: somebody answered, so a packet went out and another came back. Nor
is EPERM: a firewall of the host's that may be opened, where there should be nothing to open.
"""


def socket_attempts() -> list[Attempt]:
    """Return an attempt for each family, address and name."""
    return [
        *(Attempt(f"socket {name}", _opener(*numbers)) for name, numbers in _FAMILIES.items()),
        *(Attempt(f"connect: {name}", connector(*at)) for name, at in _ADDRESSES.items()),
        Attempt("datagram to a name server", _datagram),
        Attempt("name lookup", _look_up),
        Attempt("network interfaces besides lo", _interfaces, refusals=frozenset()),
    ]


def _opener(family: int, kind: int, protocol: int) -> Callable[[], str]:
    def act() -> str:
        with socket.socket(family, kind, protocol):
            return "a socket"

    return act


def connector(host: str, port: int) -> Callable[[], str]:
    """Return an act that connects; it is refused only where there is no way to the address."""

    def act() -> str:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as attempt:
            attempt.settimeout(CONNECT_TIMEOUT_S)
            return _sent(lambda: attempt.connect((host, port)), "connected")

    return act


def _datagram() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attempt:
        return _sent(lambda: attempt.sendto(b"\0" * 12, ("192.0.2.53", 53)), "sent")


def _sent(send: Callable[[], object], done: str) -> str:
    """Send; raise `RefusedError` if there is no way, else return why there seems to be one."""
    try:
        send()
    except TimeoutError:
        return "no answer, but no refusal either: packets left"
    except OSError as error:
        said = errno.errorcode.get(error.errno or 0, str(error.errno))
        if error.errno in WITHOUT_NETWORK:
            raise RefusedError(said) from error
        return f"{said}: there is a way"
    return done


def _look_up() -> str:
    try:
        found = socket.getaddrinfo("example.com", 443)
    except socket.gaierror as error:
        if error.errno != socket.EAI_AGAIN:  # any other comes from a name server that was reached
            return f"answered: {error.strerror}"
        raise RefusedError(f"no answer: {error.strerror}") from error
    return f"{found[0][4][0]}"


def _interfaces() -> str:
    lines = Path("/proc/net/dev").read_text(encoding="ascii").splitlines()[2:]
    names = sorted(line.partition(":")[0].strip() for line in lines)
    if names in ([], ["lo"]):
        raise RefusedError(f"only {', '.join(names) or 'none'}")
    return ", ".join(names)
