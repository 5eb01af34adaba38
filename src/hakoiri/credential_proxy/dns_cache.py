"""Names to addresses: asked once, kept while they hold, checked each time they are dialled."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from hakoiri.credential_proxy.addresses import AddressAndPort, check_addresses
from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.configuration import Network
from hakoiri.credential_proxy.errors import AddressRefusedError, ResolutionError
from hakoiri.credential_proxy.own_addresses import OwnAddresses

LOOKUP_TIMEOUT_S: Final = 5.0
FAILURE_KEPT_S: Final = 1.0
"""When nobody could tell: long enough for a crowd, short enough for a name server's restart."""

ENTRIES_LIMIT: Final = 1024
ADDRESSES_LIMIT: Final = 16
"""Of one answer; a longer one is cut, since the rest would not be dialled anyway."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The addresses of a name, none if it has none, and for how long that holds."""

    addresses: tuple[str, ...]
    ttl_s: float


Lookup = Callable[[str], Awaitable[Answer]]
"""Raises `ResolutionError` when nobody could tell."""


@dataclass(frozen=True, slots=True)
class TtlBounds:
    """How long answers are kept at least and at most, in seconds, whatever their own TTL.

    The lower bound is for both kinds; negative ones, of names without an address, have an upper
    bound of their own.
    """

    at_least_s: float = 5.0
    at_most_s: float = 300.0
    negative_at_most_s: float = 60.0

    def of(self, answer: Answer) -> float:
        """Return for how long `answer` is kept."""
        at_most_s = self.at_most_s if answer.addresses else self.negative_at_most_s
        return min(max(answer.ttl_s, self.at_least_s), at_most_s)


@dataclass(slots=True)
class CacheFigures:
    """What became of the questions so far: each counts once.

    `hits` and `negative_hits` were answered from what was kept, `shared` by the answer to somebody
    else's question, `misses` were asked. Of the answers to those, `found` had addresses, `missing`
    none, and `failures` were none at all.
    """

    hits: int = 0
    negative_hits: int = 0
    shared: int = 0
    misses: int = 0
    found: int = 0
    missing: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class _Entry:
    addresses: tuple[str, ...]
    expires_at_s: float
    fault: str = "the host has no address"


class DnsCache:
    """Bounded; callers that ask for the same name at once share one question."""

    def __init__(self, *, lookup: Lookup, clock_s: Callable[[], float]) -> None:
        self._lookup = lookup
        self._clock_s = clock_s
        self._bounds = TtlBounds()
        self._entries: dict[str, _Entry] = {}
        self._pending: dict[str, asyncio.Future[_Entry | None]] = {}
        self.figures = CacheFigures()

    def __len__(self) -> int:
        return len(self._entries)

    def configure(self, bounds: TtlBounds) -> None:
        """Keep answers that come from now on within `bounds`."""
        self._bounds = bounds

    def forget(self) -> None:
        """Ask for every name anew; an answer on its way is for those alone who wait for it."""
        self._entries.clear()
        self._pending.clear()

    async def resolve(self, host: str) -> tuple[str, ...]:
        """Return the addresses of `host`, unchecked.

        Raises:
            ResolutionError: there is none, or no answer in time.
        """
        entry = self._kept(host)
        while entry is None:
            pending = self._pending.get(host)
            if pending is None:
                entry = await self._ask(host)
            else:
                # None: who asked was cancelled, so somebody else must.
                entry = await asyncio.shield(pending)
                self.figures.shared += entry is not None
        if not entry.addresses:
            raise ResolutionError(entry.fault)
        return entry.addresses

    def _kept(self, host: str) -> _Entry | None:
        entry = self._entries.get(host)
        if entry is None or entry.expires_at_s <= self._clock_s():
            return None
        if entry.addresses:
            self.figures.hits += 1
        else:
            self.figures.negative_hits += 1
        return entry

    async def _ask(self, host: str) -> _Entry:
        done: asyncio.Future[_Entry | None] = asyncio.get_running_loop().create_future()
        self._pending[host] = done
        self.figures.misses += 1
        entry: _Entry | None = None
        try:
            entry = await self._answer(host)
        finally:
            # What is kept for no time at all is still the answer of those who wait.
            done.set_result(entry)
            if self._pending.get(host) is done:
                del self._pending[host]
                if entry is not None:
                    self._keep(host, entry)
        return entry

    async def _answer(self, host: str) -> _Entry:
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_S):
                answer = await self._lookup(host)
        except (ResolutionError, TimeoutError) as error:
            self.figures.failures += 1
            fault = str(error) or "the name servers did not answer in time"
            return _Entry((), self._clock_s() + FAILURE_KEPT_S, fault)
        if answer.addresses:
            self.figures.found += 1
        else:
            self.figures.missing += 1
        addresses = tuple(dict.fromkeys(answer.addresses))[:ADDRESSES_LIMIT]
        return _Entry(addresses, self._clock_s() + self._bounds.of(answer))

    def _keep(self, host: str, entry: _Entry) -> None:
        self._entries.pop(host, None)
        while len(self._entries) >= ENTRIES_LIMIT:
            del self._entries[next(iter(self._entries))]
        self._entries[host] = entry


class CheckedResolver:
    """Gives out only addresses that may be dialled, so that what was checked is what is dialled."""

    def __init__(self, *, cache: DnsCache, is_own: Callable[[str], bool] | None = None) -> None:
        self._cache = cache
        self._is_own = is_own or OwnAddresses().has
        self._static: Mapping[str, str] = {}
        self._allowed: frozenset[AddressAndPort] = frozenset()
        self._endpoints: frozenset[AddressAndPort] = frozenset()
        self._nameservers: list[str] = []

    def configure(
        self, network: Network, endpoints: frozenset[AddressAndPort] = frozenset()
    ) -> None:
        """Take the names and exceptions of the proxy's file; the next dial is checked by them.

        No name that DNS tells of leads to `endpoints`, where credentials' requests go: whose name
        it is could lead it there, past what is enforced on the way with the credential.

        What was answered is forgotten when other name servers are to be asked.
        """
        if network.nameservers != self._nameservers:
            self._cache.forget()
        self._nameservers = network.nameservers
        self._cache.configure(
            TtlBounds(
                at_least_s=network.dns_ttl_min_s,
                at_most_s=network.dns_ttl_max_s,
                negative_at_most_s=network.dns_negative_ttl_max_s,
            )
        )
        self._static = network.hosts
        self._allowed = network.allowed_addresses
        self._endpoints = endpoints

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
        if not authority.is_literal and host not in self._static:
            self._check_is_no_endpoint(checked, authority.port)
        for address in checked:
            if (address, authority.port) not in self._allowed and self._is_own(address):
                raise AddressRefusedError(
                    f"the host leads to {address} (this machine's own);"
                    " only the proxy's own file can except an address"
                )
        return checked

    def _check_is_no_endpoint(self, addresses: tuple[str, ...], port: int) -> None:
        for address in addresses:
            if (address, port) in self._endpoints:
                raise AddressRefusedError(
                    f"the host leads to {address}:{port}, where a credential's requests go;"
                    " give it its name in [network.hosts] of the proxy's own file"
                )
