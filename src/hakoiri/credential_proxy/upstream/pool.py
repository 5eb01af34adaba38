"""Connections that wait for their next request, bounded, and never shared across scopes."""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, Protocol

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.errors import UpstreamError
from hakoiri.credential_proxy.http1.lazy_timer import LazyTimer
from hakoiri.credential_proxy.upstream.connection import UpstreamConnection
from hakoiri.credential_proxy.upstream.dialling import CONNECT_TIMEOUT_S, dial

CONNECTIONS_PER_KEY: Final = 256
IDLE_LIMIT: Final = 1024
"""Over all keys; more than these, and the one that waits longest is closed."""

KEPT_IDLE_S: Final = 30.0
WAIT_TIMEOUT_S: Final = 30.0


class Timings(Protocol):
    """Where the phases of a request are told, in milliseconds."""

    queue_ms: float | None
    connect_ms: float | None
    tls_ms: float | None
    reused: bool


class PoolKey(NamedTuple):
    """Who may share a connection. `scope` is the policy and credential, or the container."""

    scope: str
    scheme: Literal["http", "https"]
    authority: Authority


@dataclass(slots=True)
class _Places:
    idle: deque[UpstreamConnection] = field(default_factory=deque)
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    open: int = 0


@dataclass(frozen=True, slots=True)
class PoolFigures:
    """How full the pool is, and what it has done so far."""

    open: int
    idle: int
    created: int
    reused: int
    evicted: int


class UpstreamPool:
    """Gives out connections, one request at a time each."""

    def __init__(self, *, tls: ssl.SSLContext, per_key: int = CONNECTIONS_PER_KEY) -> None:
        self._tls = tls
        self._per_key = per_key
        self._places: dict[PoolKey, _Places] = {}
        self._idle: dict[UpstreamConnection, tuple[PoolKey, float]] = {}  # oldest first
        self._sweeper: LazyTimer | None = None
        self._epoch = 0
        self._open = 0
        self._created = 0
        self._reused = 0
        self._evicted = 0

    async def acquire(
        self, key: PoolKey, *, addresses: Sequence[str], timings: Timings
    ) -> UpstreamConnection:
        """Return a connection to one of `addresses`, which were checked just now.

        Give it back with `release`.

        Raises:
            UpstreamError: the upstream takes none, is not who it should be, or all are in use.
        """
        places = self._places_of(key)
        while places.open >= self._per_key and not places.idle:
            await self._wait(places, timings)
            places = self._places_of(key)
        while places.idle:
            connection = places.idle.pop()
            del self._idle[connection]
            if connection.address in addresses and not connection.transport.is_closing():
                self._reused += 1
                timings.reused = True
                return connection
            self._discard(key, connection)
        self._places_of(key).open += 1
        self._open += 1
        try:
            connection = await self._connect(key, addresses, timings)
        except BaseException:
            self._gone(key)
            raise
        self._created += 1
        return connection

    def release(self, key: PoolKey, connection: UpstreamConnection) -> None:
        """Take a connection back; one that cannot serve again is closed."""
        connection.rest()
        places = self._places.get(key)
        is_kept = connection.is_reusable and connection.epoch == self._epoch
        if places is None or not is_kept or connection.transport.is_closing():
            self._discard(key, connection)
            return
        loop = asyncio.get_running_loop()
        places.idle.append(connection)
        self._idle[connection] = (key, loop.time())
        if len(self._idle) > IDLE_LIMIT:
            self._close_oldest()
        if self._sweeper is None:
            self._sweeper = LazyTimer(loop=loop, action=self._sweep)
            self._sweeper.set(KEPT_IDLE_S)
        _wake_one(places)

    def renew(self, tls: ssl.SSLContext) -> None:
        """Connect by `tls` from now on, and keep no connection from before."""
        self._tls = tls
        self._epoch += 1
        self.close_idle(lambda _key, _address: True)

    def close_idle(self, where: Callable[[PoolKey, str], bool]) -> None:
        """Close the idle connections whose key and address fit `where`."""
        for connection, (key, _) in list(self._idle.items()):
            if where(key, connection.address):
                self._close_idle_one(connection)

    def close(self) -> None:
        """Close every idle connection; those in use are closed by those who use them."""
        self.close_idle(lambda _key, _address: True)
        if self._sweeper is not None:
            self._sweeper.close()

    @property
    def figures(self) -> PoolFigures:
        """How full the pool is now."""
        return PoolFigures(
            open=self._open,
            idle=len(self._idle),
            created=self._created,
            reused=self._reused,
            evicted=self._evicted,
        )

    def _places_of(self, key: PoolKey) -> _Places:
        places = self._places.get(key)
        if places is None:
            places = self._places[key] = _Places()
        return places

    async def _wait(self, places: _Places, timings: Timings) -> None:
        started_s = time.perf_counter()
        place = asyncio.get_running_loop().create_future()
        places.waiting.append(place)
        try:
            async with asyncio.timeout(WAIT_TIMEOUT_S):
                await place
        except TimeoutError as error:
            reason = f"all {self._per_key} connections to the upstream are in use"
            raise UpstreamError("upstream-busy", reason, status=503) from error
        finally:
            timings.queue_ms = (time.perf_counter() - started_s) * 1000
            if not place.done() or place.cancelled():
                places.waiting.remove(place)

    async def _connect(
        self, key: PoolKey, addresses: Sequence[str], timings: Timings
    ) -> UpstreamConnection:
        loop, epoch = asyncio.get_running_loop(), self._epoch
        started_s = time.perf_counter()
        connected, address = await dial(addresses, port=key.authority.port)
        dialled_s = time.perf_counter()
        timings.connect_ms = (dialled_s - started_s) * 1000
        is_tls = key.scheme == "https"
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await loop.create_connection(
                    lambda: UpstreamConnection(loop=loop, address=address, epoch=epoch),
                    sock=connected,
                    ssl=self._tls if is_tls else None,
                    server_hostname=key.authority.host if is_tls else None,
                )
        except BaseException as error:
            connected.close()
            raise _of_handshake(error) from error
        if is_tls:
            timings.tls_ms = (time.perf_counter() - dialled_s) * 1000
        return connection

    def _discard(self, key: PoolKey, connection: UpstreamConnection) -> None:
        connection.close()
        self._gone(key)

    def _gone(self, key: PoolKey) -> None:
        self._open -= 1
        places = self._places[key]
        places.open -= 1
        if places.waiting:
            _wake_one(places)
        elif places.open == 0:
            del self._places[key]

    def _close_oldest(self) -> None:
        self._close_idle_one(next(iter(self._idle)))

    def _close_idle_one(self, connection: UpstreamConnection) -> None:
        self._evicted += 1
        key, _ = self._idle.pop(connection)
        self._places[key].idle.remove(connection)
        self._discard(key, connection)

    def _sweep(self) -> None:
        now_s = asyncio.get_running_loop().time()
        while self._idle:
            connection, (_, since_s) = next(iter(self._idle.items()))
            if since_s + KEPT_IDLE_S > now_s and not connection.transport.is_closing():
                break
            self._close_idle_one(connection)
        if self._sweeper is not None:
            self._sweeper.set(KEPT_IDLE_S / 2) if self._idle else self._forget_sweeper()

    def _forget_sweeper(self) -> None:
        self._sweeper = None


def _wake_one(places: _Places) -> None:
    while places.waiting:
        place = places.waiting.popleft()
        if not place.done():
            place.set_result(None)
            return


def _of_handshake(error: BaseException) -> BaseException:
    if isinstance(error, ssl.SSLError | ssl.CertificateError):
        return UpstreamError("upstream-certificate", "the upstream's certificate is not trusted")
    if isinstance(error, TimeoutError):
        reason = "the upstream did not answer in time"
        return UpstreamError("upstream-timeout", reason, status=504)
    if isinstance(error, OSError):
        return UpstreamError("upstream-unreachable", "the upstream took no connection")
    return error
