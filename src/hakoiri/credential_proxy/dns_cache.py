"""Names to addresses: asked once, kept for a short time, checked each time they are dialled."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from hakoiri.credential_proxy.addresses import AddressAndPort, check_addresses
from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.configuration import Network
from hakoiri.credential_proxy.errors import AddressRefusedError, ResolutionError
from hakoiri.credential_proxy.own_addresses import OwnAddresses

POSITIVE_TTL_S: Final = 30.0
NEGATIVE_TTL_S: Final = 5.0
LOOKUP_TIMEOUT_S: Final = 5.0
ENTRIES_LIMIT: Final = 1024
ADDRESSES_LIMIT: Final = 16
"""Of one answer; a longer one is cut, since the rest would not be dialled anyway."""

Lookup = Callable[[str], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class _Entry:
    addresses: tuple[str, ...]
    expires_at_s: float


async def look_up(host: str) -> list[str]:
    """Ask the system's resolver; raises OSError."""
    loop = asyncio.get_running_loop()
    answers = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(answer[4][0]) for answer in answers]


class DnsCache:
    """Bounded; callers that ask for the same name at once share one question."""

    def __init__(self, *, lookup: Lookup, clock_s: Callable[[], float]) -> None:
        self._lookup = lookup
        self._clock_s = clock_s
        self._entries: dict[str, _Entry] = {}
        self._pending: dict[str, asyncio.Future[None]] = {}

    async def resolve(self, host: str) -> tuple[str, ...]:
        """Return the addresses of `host`, unchecked.

        Raises:
            ResolutionError: there is none, or no answer in time.
        """
        while True:
            entry = self._entries.get(host)
            if entry is not None and entry.expires_at_s > self._clock_s():
                break
            pending = self._pending.get(host)
            if pending is None:
                entry = await self._ask(host)
                break
            await asyncio.shield(pending)
        if not entry.addresses:
            raise ResolutionError("the host has no address")
        return entry.addresses

    async def _ask(self, host: str) -> _Entry:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending[host] = done
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_S):
                answers = await self._lookup(host)
        except OSError:  # TimeoutError is one
            answers = []
        finally:
            # Those who wait look again: at our entry, or, when we were cancelled, for themselves.
            del self._pending[host]
            done.set_result(None)
        return self._keep(host, tuple(dict.fromkeys(answers))[:ADDRESSES_LIMIT])

    def _keep(self, host: str, addresses: tuple[str, ...]) -> _Entry:
        ttl_s = POSITIVE_TTL_S if addresses else NEGATIVE_TTL_S
        entry = _Entry(addresses, self._clock_s() + ttl_s)
        self._entries.pop(host, None)
        while len(self._entries) >= ENTRIES_LIMIT:
            del self._entries[next(iter(self._entries))]
        self._entries[host] = entry
        return entry


class CheckedResolver:
    """Gives out only addresses that may be dialled, so that what was checked is what is dialled."""

    def __init__(self, *, cache: DnsCache, is_own: Callable[[str], bool] | None = None) -> None:
        self._cache = cache
        self._is_own = is_own or OwnAddresses().has
        self._static: Mapping[str, str] = {}
        self._allowed: frozenset[AddressAndPort] = frozenset()

    def configure(self, network: Network) -> None:
        """Take the names and exceptions of the proxy's file; the next dial is checked by them."""
        self._static = network.hosts
        self._allowed = network.allowed_addresses

    async def addresses(self, authority: Authority) -> tuple[str, ...]:
        """Return the addresses to dial for `authority`, in the resolver's order.

        Raises:
            ResolutionError: the host has no address.
            AddressRefusedError: one of its addresses is not public and not excepted.
        """
        host = authority.host
        if authority.is_literal:
            found: tuple[str, ...] = (host,)
        elif host in self._static:
            found = (self._static[host],)
        else:
            found = await self._cache.resolve(host)
        checked = check_addresses(found, port=authority.port, allowed=self._allowed)
        for address in checked:
            if (address, authority.port) not in self._allowed and self._is_own(address):
                raise AddressRefusedError(
                    f"the host leads to {address} (this machine's own);"
                    " only the proxy's own file can except an address"
                )
        return checked
