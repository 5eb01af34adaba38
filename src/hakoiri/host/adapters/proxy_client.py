"""The credential proxy's control socket behind the `ProxyControl` port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Self

import aiohttp

from hakoiri.host.adapters.unix_http import (
    UnixHttpAwayError,
    UnixHttpError,
    call,
    exchange,
    read_bounded,
    unix_session,
)
from hakoiri.host.containers.ports import (
    Gone,
    PolicyRefusedError,
    ProxyAwayError,
    ProxyControlError,
)
from hakoiri.tracing.spans import spanned
from hakoiri.wire.policy import Policy
from hakoiri.wire.policy_test import Explanation, PolicyTest
from hakoiri.wire.proxy import Bind, ProxyHealth, ProxyStats, SocketOpened, SocketStats

TIMEOUT_S: Final = 10.0
FIGURES_TIMEOUT_S: Final = 5.0
"""Prometheus itself waits for 10 s."""

KEEP_IDLE_S: Final = 15.0
"""The proxy's control interface holds a connection open for an hour."""

FIGURES_LIMIT_BYTES: Final = 8 * 1024 * 1024
HTTP_UNPROCESSABLE: Final = 422


class ProxyClient:
    """Speaks to the proxy at `control_socket`. Use as an async context manager."""

    def __init__(self, control_socket: Path) -> None:
        """Name the socket; nothing is opened yet."""
        self._control_socket = control_socket
        self._open_session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the session; the proxy is asked only when a call is made."""
        self._open_session = unix_session(
            str(self._control_socket), connect_timeout_s=TIMEOUT_S, keep_idle_s=KEEP_IDLE_S
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the session."""
        if self._open_session is not None:
            await self._open_session.close()
            self._open_session = None

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._open_session is None:
            raise ProxyControlError("the proxy's client is not open")
        return self._open_session

    async def open_socket(self, container_id: str) -> Path:
        """Make the container's socket, unbound; return the directory to mount."""
        try:
            opened = await call(
                self._session,
                "PUT",
                f"/sockets/{container_id}",
                answer=SocketOpened,
                timeout_s=TIMEOUT_S,
            )
        except UnixHttpError as error:
            raise _ours(error) from error
        return Path(opened.directory)

    async def open_bound(
        self,
        container_id: str,
        *,
        workspace_id: str,
        tenant: str,
        generation: int,
        policy: Policy,
        traceparent: str | None = None,
    ) -> None:
        """Make the socket and bind it before anybody can connect; `PolicyRefusedError` likewise."""
        bind = Bind(
            workspace=workspace_id,
            tenant=tenant,
            generation=generation,
            policy=policy,
            traceparent=traceparent,
        )
        await self._put(f"/sockets/{container_id}", bind)

    async def bind(
        self,
        container_id: str,
        *,
        workspace_id: str,
        tenant: str,
        generation: int,
        policy: Policy,
        traceparent: str | None = None,
    ) -> None:
        """Let the socket speak for the workspace; `PolicyRefusedError` if too wide."""
        bind = Bind(
            workspace=workspace_id,
            tenant=tenant,
            generation=generation,
            policy=policy,
            traceparent=traceparent,
        )
        await self._put(f"/sockets/{container_id}/binding", bind)

    @spanned("proxy bind", kind="client")
    async def _put(self, path: str, bind: Bind) -> None:
        try:
            async with exchange(self._session, "PUT", path, body=bind, timeout_s=TIMEOUT_S):
                return
        except UnixHttpError as error:
            raise _ours(error) from error

    async def close_socket(self, container_id: str) -> None:
        """Cut its streams and remove it; nothing happens if it is gone."""
        path = f"/sockets/{container_id}"
        try:
            async with exchange(self._session, "DELETE", path, timeout_s=TIMEOUT_S):
                return
        except UnixHttpError as error:
            raise _ours(error) from error

    async def open_sockets(self) -> frozenset[str]:
        """Return the names of all sockets that are open, bound or not."""
        return frozenset(socket.container for socket in await self._sockets())

    async def bound_sockets(self) -> frozenset[str]:
        """Return the containers whose sockets are open and bound."""
        return frozenset(
            socket.container for socket in await self._sockets() if socket.workspace is not None
        )

    async def _sockets(self) -> list[SocketStats]:
        try:
            stats = await call(
                self._session, "GET", "/stats", answer=ProxyStats, timeout_s=TIMEOUT_S
            )
        except UnixHttpError as error:
            raise _ours(error) from error
        return stats.sockets

    async def explain(self, test: PolicyTest) -> Explanation:
        """Tell what would become of one request; nothing is sent."""
        try:
            return await call(
                self._session,
                "POST",
                "/explain",
                body=test,
                answer=Explanation,
                timeout_s=TIMEOUT_S,
            )
        except UnixHttpError as error:
            raise _ours(error) from error

    @asynccontextmanager
    async def attached(self) -> AsyncIterator[Gone]:
        """Hold on to the proxy that runs now; yield what returns when that one has ended.

        Raises `ProxyControlError` if none runs.
        """
        try:
            async with exchange(self._session, "GET", "/life", timeout_s=None) as response:

                async def gone() -> None:
                    # a proxy that was killed ends its answer in the middle
                    with suppress(aiohttp.ClientError, OSError):
                        await response.content.read(1)

                yield gone
        except UnixHttpError as error:
            raise _ours(error) from error

    async def figures(self) -> str | None:
        """Return its figures in Prometheus's text format; None if it does not tell them now."""
        try:
            async with exchange(
                self._session, "GET", "/metrics", timeout_s=FIGURES_TIMEOUT_S
            ) as response:
                raw = await read_bounded(response, limit_bytes=FIGURES_LIMIT_BYTES)
                return raw.decode()
        except (UnixHttpError, UnicodeDecodeError):
            return None

    async def check(self) -> list[str]:
        """Return reasons why a model call cannot work now; empty if it can."""
        try:
            health = await call(
                self._session, "GET", "/health", answer=ProxyHealth, timeout_s=TIMEOUT_S
            )
        except UnixHttpError as error:
            return [f"the credential proxy does not answer: {error}"]
        unaudited = [f"of the proxy: {told}"] if (told := health.audit_failure) is not None else []
        return unaudited + [
            f"the credential {credential.name} is not ready: {credential.reason}"
            for credential in health.credentials
            if not credential.ready
        ]


def _ours(error: UnixHttpError) -> ProxyControlError:
    if error.problem is not None and error.problem.status == HTTP_UNPROCESSABLE:
        return PolicyRefusedError(str(error))
    if error.problem is not None:
        return ProxyControlError(f"the credential proxy refused: {error}")
    kind = ProxyAwayError if isinstance(error, UnixHttpAwayError) else ProxyControlError
    return kind(f"the credential proxy does not answer: {error}")
