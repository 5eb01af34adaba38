"""The HTTP client towards the outside: checked addresses, verified TLS, no redirects, no cookies.

Connections are pooled per credential and bounded; those without a credential are not reused, so
that no two workspaces share one.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.dns_cache import CheckedResolver
from hakoiri.credential_proxy.errors import (
    AddressRefusedError,
    CredentialProxyError,
    ResolutionError,
    UpstreamError,
)
from hakoiri.credential_proxy.exchange import Upstream
from hakoiri.credential_proxy.framing import Headers
from hakoiri.credential_proxy.tunnel import Tunnel, dial

CONNECT_TIMEOUT_S: Final = 10.0
POOL_WAIT_TIMEOUT_S: Final = 30.0
IDLE_TIMEOUT_S: Final = 600.0
CONNECTIONS_PER_CREDENTIAL: Final = 256
_AUTO_HEADERS: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

Body = bytes | AsyncIterator[bytes] | None


@dataclass(frozen=True, slots=True)
class Answer:
    """An upstream's answer: its head is here, its body comes in chunks as they arrive."""

    status: int
    headers: Headers
    _response: aiohttp.ClientResponse

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, undecoded.

        Raises:
            UpstreamError: the upstream broke off or fell silent.
        """
        try:
            while chunk := await self._response.content.readany():
                yield chunk
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _ours(error) from error


class _Resolver(AbstractResolver):
    def __init__(self, resolver: CheckedResolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        del family
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await self._resolver.addresses(Authority(host, port))
        ]

    async def close(self) -> None:
        return None


class UpstreamClient:
    """Sends requests that were decided on. Use it as an async context manager."""

    def __init__(self, *, resolver: CheckedResolver) -> None:
        self._resolver = resolver
        self._tls = ssl.create_default_context()
        self._sessions: dict[str | None, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    @asynccontextmanager
    async def send(
        self,
        upstream: Upstream,
        *,
        method: str,
        headers: Headers,
        body: Body,
        credential: str | None,
    ) -> AsyncIterator[Answer]:
        """Send a request and give its answer; leaving early cuts the connection.

        `headers` go as they are; `Host` must be among them, and `Content-Length` when `body` is an
        iterator of known length.

        Raises:
            UpstreamError: the upstream cannot be reached, is not who it should be, or broke off.
            CredentialProxyError: what `body` raised while it was sent.
        """
        await self._check(upstream.authority)
        try:
            response = await self._session(credential).request(
                method, _url_of(upstream), headers=headers, data=body, allow_redirects=False
            )
        except (AddressRefusedError, ResolutionError) as error:
            raise _ours_of_name(error) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _ours(error) from error
        try:
            if response.status == 101:  # noqa: PLR2004 - switching protocols, which nobody asked for
                raise UpstreamError("upstream-broken", "the upstream switched protocols unasked")
            answer_headers = tuple(response.headers.items())
            yield Answer(response.status, answer_headers, response)
        finally:
            # Releases a connection whose body was read, closes any other.
            response.close() if not response.content.at_eof() else response.release()

    async def tunnel(self, authority: Authority, *, container: asyncio.Transport) -> Tunnel:
        """Connect a tunnel, not started yet, between `container` and `authority`.

        Raises:
            UpstreamError: the upstream cannot be reached.
        """
        addresses = await self._check(authority)
        return await dial(addresses, port=authority.port, container=container)

    async def _check(self, authority: Authority) -> tuple[str, ...]:
        # Pooled connections and address literals do not pass the connector's resolver.
        try:
            return await self._resolver.addresses(authority)
        except (AddressRefusedError, ResolutionError) as error:
            raise _ours_of_name(error) from error

    def _session(self, credential: str | None) -> aiohttp.ClientSession:
        session = self._sessions.get(credential)
        if session is None:
            session = self._sessions[credential] = aiohttp.ClientSession(
                connector=self._connector(is_reused=credential is not None),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                skip_auto_headers=_AUTO_HEADERS,
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    connect=POOL_WAIT_TIMEOUT_S,
                    sock_connect=CONNECT_TIMEOUT_S,
                    sock_read=IDLE_TIMEOUT_S,
                ),
            )
        return session

    def _connector(self, *, is_reused: bool) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(
            resolver=_Resolver(self._resolver),
            use_dns_cache=False,
            ssl=self._tls,
            limit=CONNECTIONS_PER_CREDENTIAL,
            force_close=not is_reused,
        )


def _url_of(upstream: Upstream) -> URL:
    return URL.build(
        scheme=upstream.scheme,
        host=upstream.authority.host,
        port=upstream.authority.port,
        path=upstream.path,
        query_string=upstream.query,
        encoded=True,
    )


def _ours_of_name(error: AddressRefusedError | ResolutionError) -> UpstreamError:
    if isinstance(error, AddressRefusedError):
        return UpstreamError("address-refused", str(error), status=403, is_refusal=True)
    return UpstreamError("host-not-found", str(error))


def _ours(error: Exception) -> CredentialProxyError:
    if isinstance(error.__cause__, CredentialProxyError):  # the body that was being sent failed
        return error.__cause__
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return UpstreamError("upstream-certificate", "the upstream's certificate is not trusted")
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return UpstreamError("upstream-timeout", "the upstream did not answer in time", status=504)
    if isinstance(error, aiohttp.ClientConnectorError):
        return UpstreamError("upstream-unreachable", "the upstream took no connection")
    return UpstreamError("upstream-broken", "the upstream broke off")
