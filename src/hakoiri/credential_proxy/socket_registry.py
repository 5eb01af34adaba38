"""All containers' sockets: open, bind, unbind, delete."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hakoiri.credential_proxy.binding import Binding, check_policy
from hakoiri.credential_proxy.container_socket import ContainerSocket
from hakoiri.credential_proxy.errors import CredentialProxyError
from hakoiri.credential_proxy.in_force import InForce
from hakoiri.credential_proxy.interception.trust_bundle import TrustBundle
from hakoiri.credential_proxy.listener.handler import Listener
from hakoiri.credential_proxy.listener.server import ContainerServer
from hakoiri.credential_proxy.unix_socket import BACKLOG, SocketPathError, listen_at
from hakoiri.wire.agent import PROXY_SOCKET_NAME
from hakoiri.wire.proxy import Bind, SocketStats

SOCKETS_LIMIT: Final = 10_000
_DIRECTORY_MODE: Final = 0o755
_SOCKET_MODE: Final = 0o666
"""The container's uid is mapped, differently by each runtime; who reaches the mount may connect."""

NewListener = Callable[[ContainerSocket], Listener]


class UnknownSocketError(CredentialProxyError):
    """There is no open socket of this container; open it first."""


class TooManySocketsError(CredentialProxyError):
    """The proxy has as many sockets open as it may."""


@dataclass(frozen=True, slots=True)
class _Open:
    state: ContainerSocket
    listener: Listener
    connections: ContainerServer
    server: asyncio.Server


class SocketRegistry:
    """The open sockets, each in a directory of its own under `directory`."""

    def __init__(
        self,
        *,
        directory: Path,
        in_force: InForce,
        bundle: TrustBundle,
        new_listener: NewListener,
    ) -> None:
        self._directory = directory
        self._bundle = bundle
        self._in_force = in_force
        self._new_listener = new_listener
        self._open: dict[str, _Open] = {}
        self._lock = asyncio.Lock()

    async def open(self, container: str, bind: Bind | None = None) -> Path:
        """Listen for `container`; return its directory. An open socket stays as it is.

        Without `bind` a new socket is unbound; with it, it is bound before the first connection is
        taken, and an open one is bound too.

        Raises:
            SocketPathError: the socket cannot be made.
            TooManySocketsError: there are too many.
            PolicyTooWideError, GenerationFencedError: as `bind` does; no socket is made.
        """
        directory = self._directory / container
        async with self._lock:
            if container in self._open and (directory / PROXY_SOCKET_NAME).is_socket():
                if bind is not None:
                    self.bind(container, bind)
                return directory
            if bind is not None:
                check_policy(bind.policy, self._in_force.configuration, tenant=bind.tenant)
            if len(self._open) >= SOCKETS_LIMIT:
                raise TooManySocketsError(f"{SOCKETS_LIMIT} sockets are open; delete some")
            await self._close(container)
            self._make_directory(directory)
            listener_socket = listen_at(directory / PROXY_SOCKET_NAME, mode=_SOCKET_MODE)
            state = ContainerSocket(container)
            if bind is not None:
                state.bind(Binding.of(bind))
            listener = self._new_listener(state)
            connections = listener.server()
            loop = asyncio.get_running_loop()
            server = await loop.create_unix_server(
                connections, sock=listener_socket, backlog=BACKLOG
            )
            self._open[container] = _Open(state, listener, connections, server)
        return directory

    def bind(self, container: str, bind: Bind) -> None:
        """Bind the socket of `container`; streams that its policy no longer allows are cut.

        Raises:
            UnknownSocketError: it is not open.
            PolicyTooWideError: the policy asks for more than the proxy's own file allows.
            GenerationFencedError: a newer generation or another workspace was bound before.
        """
        entry = self._find(container)
        check_policy(bind.policy, self._in_force.configuration, tenant=bind.tenant)
        entry.state.bind(Binding.of(bind))
        entry.state.cut(where=entry.listener.is_refused)

    def unbind(self, container: str) -> None:
        """Refuse everything on the socket of `container`, and cut all its streams.

        Raises:
            UnknownSocketError: it is not open.
        """
        entry = self._find(container)
        entry.state.unbind()
        entry.connections.cut()

    async def delete(self, container: str) -> None:
        """Remove socket and directory of `container`; those left by an earlier life too.

        Raises:
            SocketPathError: the directory holds something else.
        """
        directory = self._directory / container
        async with self._lock:
            await self._close(container)
            try:
                (directory / PROXY_SOCKET_NAME).unlink(missing_ok=True)
                self._bundle.take_from(directory)
                directory.rmdir()
            except FileNotFoundError:
                return
            except OSError as error:
                raise SocketPathError(f"{directory}: {error.strerror}; empty it") from error

    def reload(self) -> None:
        """Put the proxy's file in force anew, and cut the streams it no longer allows.

        Raises:
            ConfigurationError: the file cannot be used; the old one stays.
        """
        self._in_force.reload()
        for entry in self._open.values():
            entry.state.cut(where=entry.listener.is_refused)

    def sockets(self) -> list[ContainerSocket]:
        """Return the state of every open socket."""
        return [entry.state for entry in self._open.values()]

    def stats(self) -> list[SocketStats]:
        """Return the counters of all open sockets."""
        return [entry.state.stats for entry in self._open.values()]

    async def drain(self, *, timeout_s: float) -> None:
        """Wait until what runs on the sockets has ended, at most `timeout_s`."""
        tasks = [task for entry in self._open.values() for task in entry.state.tasks]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)

    def stop_listening(self) -> None:
        """Take no more connections; those that are open go on."""
        for entry in self._open.values():
            entry.server.close()
            entry.connections.end()

    async def close(self) -> None:
        """Cut and close all sockets; their directories stay, for the next proxy."""
        async with self._lock:
            for container in list(self._open):
                await self._close(container)

    def _make_directory(self, directory: Path) -> None:
        try:
            directory.mkdir(exist_ok=True)
            if directory.is_symlink():
                raise SocketPathError(f"{directory}: is a link; remove it")
            directory.chmod(_DIRECTORY_MODE)
            self._bundle.put_into(directory)
        except OSError as error:
            raise SocketPathError(f"{directory}: cannot be made: {error.strerror}") from error

    def _find(self, container: str) -> _Open:
        entry = self._open.get(container)
        if entry is None:
            raise UnknownSocketError(f"there is no socket of {container!r}; open it first")
        return entry

    async def _close(self, container: str) -> None:
        entry = self._open.pop(container, None)
        if entry is None:
            return
        entry.server.close()
        entry.state.unbind()
        entry.connections.cut()
        await entry.connections.gone(timeout_s=1)
