"""Takes the way out away from a container's network: its default route.

An engine's internal network is one by the engine's firewall rules; engines before 27 give its
containers a default route all the same, and one that is told to leave the firewall alone has no
rules. Without the route there is no way out, whatever the engine does.
"""

import errno
import fcntl
import socket
import struct
from pathlib import Path
from typing import Final

from hakoiri.cli.supervisor.preparation import PreparationError

ROUTES: Final = Path("/proc/net/route")
ROUTES_V6: Final = Path("/proc/net/ipv6_route")
SIOCDELRT: Final = 0x890C
RTENTRY: Final = struct.Struct("@L16s16s16sHhLPhPLLH")
"""struct rtentry of linux/route.h, from rt_pad1 to rt_irtt."""

RTF_UP: Final = 1
ANY: Final = struct.pack("=HH12x", socket.AF_INET, 0)
ROUTES_LIMIT: Final = 16
_NOWHERE: Final = "0" * 32


def default_routes(routes: str) -> list[str]:
    """Return the interfaces of the default routes in the text of `/proc/net/route` (proc(5))."""
    rows = [line.split() for line in routes.splitlines()[1:]]
    return [row[0] for row in rows if row[1] == row[7] == "00000000"]


def default_routes_v6(routes: str) -> list[str]:
    """Return the same of `/proc/net/ipv6_route`; the kernel's own refusals, at `lo`, are none."""
    rows = [line.split() for line in routes.splitlines()]
    return [row[9] for row in rows if row[:2] == [_NOWHERE, "00"] and row[9] != "lo"]


def close_way_out() -> None:
    """Delete all default routes of this network namespace; needs CAP_NET_ADMIN there.

    Raises `PreparationError` if one is left.
    """
    for _ in range(ROUTES_LIMIT):
        if not default_routes(ROUTES.read_text()):
            break
        _delete_default_route()
    left = default_routes(ROUTES.read_text())
    if ROUTES_V6.exists():
        left += default_routes_v6(ROUTES_V6.read_text())
    if left:
        raise PreparationError(
            f"there is a way out by {', '.join(left)}, which cannot be taken away; make the "
            "server's networks internal, without IPv6, or start it with --way-out"
        )


def _delete_default_route() -> None:
    entry = RTENTRY.pack(0, ANY, ANY, ANY, RTF_UP, 0, 0, 0, 0, 0, 0, 0, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            fcntl.ioctl(any_socket, SIOCDELRT, entry)
        except OSError as error:
            if error.errno != errno.ESRCH:
                raise PreparationError(
                    f"cannot take the default route away: {error.strerror}; give the container "
                    "NET_ADMIN, or start it with --way-out"
                ) from error
