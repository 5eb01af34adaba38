"""Asking for the addresses of a name: the system's table first, then the name servers.

A name is asked for as it is: the search domains of resolv.conf are never appended, since that would
ask for, and reach, another name than the one that the whitelist let through.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dns.asyncbackend
import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from hakoiri.credential_proxy.addresses import AddressAndPort
from hakoiri.credential_proxy.dns_cache import Answer
from hakoiri.credential_proxy.errors import ResolutionError
from hakoiri.credential_proxy.hosts_file import HostsFile

RESOLV_CONF: Final = Path("/etc/resolv.conf")
TRY_TIMEOUT_S: Final = 1.5
"""For one try at one name server; then the next is asked, or the same once more."""

LOOKUP_TIMEOUT_S: Final = 4.5
_ALL_FAMILIES: Final = (dns.rdatatype.A, dns.rdatatype.AAAA)


@dataclass(frozen=True, slots=True)
class _Family:
    """The addresses of one family, none if the name has none of it, and for how long that holds."""

    addresses: tuple[str, ...]
    ttl_s: float


class DnsClient:
    """Asks over UDP, and over TCP what UDP cut short; both families at once, IPv4 given first."""

    def __init__(
        self,
        *,
        hosts: HostsFile,
        resolv_conf: Path = RESOLV_CONF,
        try_timeout_s: float = TRY_TIMEOUT_S,
        timeout_s: float = LOOKUP_TIMEOUT_S,
    ) -> None:
        self._hosts = hosts
        self._resolv_conf = resolv_conf
        self._try_timeout_s = try_timeout_s
        self._timeout_s = timeout_s
        self._nameservers: tuple[AddressAndPort, ...] = ()

    def configure(self, nameservers: Sequence[AddressAndPort]) -> None:
        """Ask these from now on; without any, those of resolv.conf."""
        self._nameservers = tuple(nameservers)

    async def look_up(self, host: str) -> Answer:
        """Return the addresses of `host`, none if it has none, and how long that holds.

        A name of the system's table holds for no time: the file is asked again.

        Raises:
            ResolutionError: nobody could tell.
        """
        fixed = self._hosts.addresses_of(host)
        if fixed:
            return Answer(fixed, 0)
        try:
            name = dns.name.from_text(host, origin=dns.name.root)
            resolver = self._resolver()
        except dns.exception.DNSException as error:
            raise ResolutionError(f"cannot be asked for: {error}") from error
        return _joined(
            await asyncio.gather(*[self._ask(resolver, name, kind) for kind in _ALL_FAMILIES])
        )

    def _resolver(self) -> dns.asyncresolver.Resolver:
        resolver = dns.asyncresolver.Resolver(
            filename=str(self._resolv_conf), configure=not self._nameservers
        )
        if self._nameservers:
            resolver.nameservers = [
                dns.nameserver.Do53Nameserver(address, port) for address, port in self._nameservers
            ]
        resolver.timeout = self._try_timeout_s
        resolver.lifetime = self._timeout_s
        return resolver

    async def _ask(
        self,
        resolver: dns.asyncresolver.Resolver,
        name: dns.name.Name,
        kind: dns.rdatatype.RdataType,
    ) -> _Family | None:
        """Return what `name` has of a family, or None when no name server could tell."""
        try:
            chain = await _chain(resolver, name, kind)
        except (dns.exception.DNSException, OSError):
            return None
        addresses = tuple(record.address for record in chain.answer or ())
        return _Family(addresses, chain.minimum_ttl)


async def _chain(
    resolver: dns.asyncresolver.Resolver, name: dns.name.Name, kind: dns.rdatatype.RdataType
) -> dns.message.ChainingResult:
    """Return where the aliases of `name` end, with the shortest TTL on the way there.

    For a name without records of the `kind`, that is the SOA's (RFC 2308, section 5).
    """
    try:
        answer = await resolver.resolve(
            name,
            kind,
            raise_on_no_answer=False,
            search=False,
            backend=dns.asyncbackend.get_backend("asyncio"),
        )
    except dns.resolver.NXDOMAIN as error:
        response: dns.message.QueryMessage = error.response(name)
        return response.resolve_chaining()
    return answer.chaining_result


def _joined(families: Iterable[_Family | None]) -> Answer:
    told = [family for family in families if family is not None]
    addresses = tuple(address for family in told for address in family.addresses)
    is_whole = len(told) == len(_ALL_FAMILIES)
    if not addresses and not is_whole:
        raise ResolutionError("the name servers did not tell the host's addresses")
    counted = [family.ttl_s for family in told if family.addresses or not addresses]
    return Answer(addresses, min(counted) if is_whole else 0)
