"""Sending requests that were decided on: checked addresses, verified TLS, no redirects."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

from hakoiri.credential_proxy.addresses import AddressAndPort
from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.configuration import Network
from hakoiri.credential_proxy.decision import Upstream
from hakoiri.credential_proxy.dns_cache import CheckedResolver
from hakoiri.credential_proxy.errors import (
    AddressRefusedError,
    ConfigurationError,
    ResolutionError,
    UpstreamError,
)
from hakoiri.credential_proxy.framing import Headers
from hakoiri.credential_proxy.http1.rendering import (
    render_chunk,
    render_last_chunk,
    render_request_head,
)
from hakoiri.credential_proxy.trusted_file import read_trusted_file
from hakoiri.credential_proxy.tunnel import Tunnel
from hakoiri.credential_proxy.upstream.connection import SWITCHING_PROTOCOLS, UpstreamConnection
from hakoiri.credential_proxy.upstream.dialling import dial
from hakoiri.credential_proxy.upstream.pool import PoolFigures, PoolKey, Timings, UpstreamPool

_REPEATABLE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Idempotent ones (RFC 9110, section 9.2.2), sent once more when a kept connection was stale."""

Body = bytes | AsyncIterator[bytes] | None
Trailers = Callable[[], Headers]


class RequestTimings(Timings, Protocol):
    """The pool's phases and the resolver's."""

    dns_ms: float | None


class Answering:
    """An upstream that has begun to answer. Call `end` in any case."""

    __slots__ = ("_connection", "_key", "_pool")

    def __init__(self, *, connection: UpstreamConnection, key: PoolKey, pool: UpstreamPool) -> None:
        self._connection = connection
        self._key = key
        self._pool = pool

    @property
    def status(self) -> int:
        """The answer's status."""
        return self._connection.status

    @property
    def headers(self) -> Headers:
        """The answer's headers, names in any case, values in Latin-1."""
        return self._connection.headers

    def take_all(self) -> bytes | None:
        """Return the body when all of it is here, else None."""
        return self._connection.body.take_all()

    async def read(self) -> bytes:
        """Return the next piece of the body, empty at its end.

        Raises:
            UpstreamError: the upstream broke off or fell silent.
        """
        return await self._connection.body.read()

    def adopt(self, tunnel: Tunnel) -> None:
        """Make the connection, which has switched protocols, the upstream's side of `tunnel`."""
        connection = self._connection
        connection.rest()
        connection.transport.set_protocol(tunnel)
        tunnel.connection_made(connection.transport)
        if connection.glued:
            tunnel.data_received(connection.glued)

    def end(self) -> None:
        """Keep the connection for another request, or close it when the answer was not read."""
        self._pool.release(self._key, self._connection)


class UpstreamClient:
    """Sends requests over pooled connections."""

    def __init__(self, *, resolver: CheckedResolver) -> None:
        self._resolver = resolver
        self._pool = UpstreamPool(tls=trusting(Network()))

    def configure(
        self, network: Network, endpoints: frozenset[AddressAndPort] = frozenset()
    ) -> None:
        """Take the network of the proxy's file; what is sent from now on goes by it.

        `endpoints` are where credentials' requests go (see `CheckedResolver`).

        Raises:
            ConfigurationError: the certificates it names cannot be used.
        """
        tls = trusting(network)
        self._resolver.configure(network, endpoints)
        self._pool.renew(tls)

    def close(self) -> None:
        """Close what is kept."""
        self._pool.close()

    @property
    def figures(self) -> PoolFigures:
        """How full the pool is."""
        return self._pool.figures

    async def send(
        self,
        upstream: Upstream,
        *,
        method: str,
        headers: Headers,
        body: Body,
        scope: str,
        timings: RequestTimings,
        trailers: Trailers = tuple,
    ) -> Answering:
        """Send a request and wait for the answer's head.

        `headers` go as they are, `Host` among them. A body of unknown length, an iterator while no
        `content-length` is among the headers, is sent in chunks with `trailers` after it.

        Raises:
            UpstreamError: the upstream cannot be reached, is not who it should be, or broke off.
            CredentialProxyError: what `body` raised while it was sent.
        """
        key = PoolKey(scope, upstream.scheme, upstream.authority)
        is_streamed = body is not None and not isinstance(body, bytes)
        is_chunked = is_streamed and all(name != "content-length" for name, _ in headers)
        if is_chunked:
            headers = (*headers, ("transfer-encoding", "chunked"))
        target = f"{upstream.path}?{upstream.query}" if upstream.query else upstream.path
        head = render_request_head(method, target, headers)
        is_repeatable = method in _REPEATABLE_METHODS and not is_streamed
        while True:
            addresses = await self._check(upstream.authority, timings)
            connection = await self._pool.acquire(key, addresses=addresses, timings=timings)
            try:
                connection.begin(method)
                await _send(connection, head, body, trailers=trailers if is_chunked else None)
                await connection.answer()
            except UpstreamError:
                is_stale = connection.is_reused and not connection.has_bytes
                self._give_up(key, connection)
                if is_stale and is_repeatable:
                    is_repeatable = False
                    continue
                raise
            except BaseException:
                self._give_up(key, connection)
                raise
            return Answering(connection=connection, key=key, pool=self._pool)

    async def tunnel(
        self, authority: Authority, *, timings: RequestTimings, tunnel: Tunnel
    ) -> None:
        """Connect `tunnel`, which is not started yet, to `authority`.

        Raises:
            UpstreamError: the upstream cannot be reached.
        """
        addresses = await self._check(authority, timings)
        started_s = time.perf_counter()
        connected, _ = await dial(addresses, port=authority.port)
        try:
            await asyncio.get_running_loop().create_connection(lambda: tunnel, sock=connected)
        except OSError as error:
            connected.close()
            raise UpstreamError("upstream-unreachable", "the host took no connection") from error
        timings.connect_ms = (time.perf_counter() - started_s) * 1000

    def _give_up(self, key: PoolKey, connection: UpstreamConnection) -> None:
        connection.close()
        self._pool.release(key, connection)

    async def _check(self, authority: Authority, timings: RequestTimings) -> tuple[str, ...]:
        started_s = time.perf_counter()
        try:
            return await self._resolver.addresses(authority)
        except AddressRefusedError as error:
            raise UpstreamError(
                "address-refused", str(error), status=403, is_refusal=True
            ) from error
        except ResolutionError as error:
            raise UpstreamError("host-not-found", str(error)) from error
        finally:
            timings.dns_ms = (time.perf_counter() - started_s) * 1000


async def _send(
    connection: UpstreamConnection, head: bytes, body: Body, *, trailers: Trailers | None
) -> None:
    """Send a request; its body in chunks when there are `trailers` to follow."""
    if body is None or isinstance(body, bytes):
        connection.write(head if body is None else head + body)
    else:
        is_chunked = trailers is not None
        connection.write(head)
        async for chunk in body:
            connection.write(render_chunk(chunk) if is_chunked else chunk)
            if connection.is_paused:
                await connection.drain()
            if connection.has_answer:
                return  # an answer before the whole request: it stays the last on its connection
        if trailers is not None:
            connection.write(render_last_chunk(trailers()))
    connection.sent()


def trusting(network: Network) -> ssl.SSLContext:
    """Return the client's side of TLS: certificates are always verified, with their names.

    Raises:
        ConfigurationError: `network.ca_file` cannot be used.
    """
    tls = ssl.create_default_context()
    tls.set_alpn_protocols(["http/1.1"])
    if network.ca_file is not None:
        try:
            tls.load_verify_locations(cadata=read_trusted_file(network.ca_file))
        except ssl.SSLError as error:
            raise ConfigurationError(
                f"network.ca_file: {network.ca_file} holds no certificates in PEM"
            ) from error
    return tls


def has_switched(status: int) -> bool:
    """Whether an answer's status tells that the connection speaks another protocol now."""
    return status == SWITCHING_PROTOCOLS
