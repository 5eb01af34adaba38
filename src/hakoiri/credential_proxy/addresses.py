"""Which addresses the proxy dials: public ones, and those its own file names exactly.

The table is ours and closed (IANA's special-purpose registries, RFC 6890 and its successors):
`ipaddress.is_global` differs between Python versions and passes multicast.
"""

from collections.abc import Collection, Iterable
from functools import lru_cache
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from typing import Final

from hakoiri.credential_proxy.errors import AddressRefusedError

AddressAndPort = tuple[str, int]
"""An address in canonical text and a port."""

_REFUSED_V4: Final[tuple[tuple[IPv4Network, str], ...]] = tuple(
    (IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/8", "this host"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local, where clouds keep their metadata"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_GLOBAL_UNICAST_V6: Final = IPv6Network("2000::/3")
_REFUSED_V6: Final[tuple[tuple[IPv6Network, str], ...]] = tuple(
    (IPv6Network(network), why)
    for network, why in (
        ("::ffff:0:0/96", "an IPv4 address in disguise"),
        ("64:ff9b::/96", "an IPv4 address behind NAT64"),
        ("64:ff9b:1::/48", "an IPv4 address behind NAT64"),
        ("fc00::/7", "unique local"),
        ("fe80::/10", "link-local"),
        ("ff00::/8", "multicast"),
        ("2001::/23", "protocol assignments and Teredo"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "an IPv4 address in 6to4"),
        ("3fff::/20", "documentation"),
    )
)


def parse_address(text: str) -> IPv4Address | IPv6Address:
    """Parse one address in canonical or IPv6 text form.

    Raises:
        AddressRefusedError: it is not an address, or carries a zone.
    """
    try:
        address = ip_address(text)
    except (ValueError, AddressValueError) as error:
        raise AddressRefusedError("the resolver's answer is not an address") from error
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise AddressRefusedError("the address carries a zone")
    return address


def why_not_public(address: IPv4Address | IPv6Address) -> str | None:
    """Tell what kind of special address this is, or None when it is public."""
    if isinstance(address, IPv4Address):
        return next((why for network, why in _REFUSED_V4 if address in network), None)
    why = next((why for network, why in _REFUSED_V6 if address in network), None)
    if why is None and address not in _GLOBAL_UNICAST_V6:
        return "not global unicast"
    return why


def check_addresses(
    addresses: Iterable[str], *, port: int, allowed: Collection[AddressAndPort]
) -> tuple[str, ...]:
    """Return the addresses that may be dialled on `port`, in their order: all of them.

    `allowed` names the exact exceptions. One address that may not be dialled refuses the whole
    answer, since a name that leads both outside and inside is rebinding or a mistake.

    Raises:
        AddressRefusedError: an address is not public and not excepted, or there is none.
    """
    return _check(tuple(addresses), port, frozenset(allowed))


@lru_cache(maxsize=1024)
def _check(
    addresses: tuple[str, ...], port: int, allowed: frozenset[AddressAndPort]
) -> tuple[str, ...]:
    checked = []
    for text in addresses:
        address = parse_address(text)
        why = why_not_public(address)
        if why is not None and (str(address), port) not in allowed:
            raise AddressRefusedError(
                f"the host leads to {address} ({why});"
                " only the proxy's own file can except an address"
            )
        checked.append(str(address))
    if not checked:
        raise AddressRefusedError("the host has no address")
    return tuple(checked)
