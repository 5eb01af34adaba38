"""The proxy alone: one socket, one policy, no server. For any container, and any test suite."""

import asyncio
import hashlib
import os
import signal
import socket
import stat
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hakoiri.audit.writer import AuditLog
from hakoiri.credential_proxy.binding import Binding, check_policy
from hakoiri.credential_proxy.configuration import Configuration, read_configuration
from hakoiri.credential_proxy.container_socket import ContainerSocket
from hakoiri.credential_proxy.decision_log import DecisionLog
from hakoiri.credential_proxy.errors import CredentialProxyError
from hakoiri.credential_proxy.interception.trust_bundle import TrustBundle
from hakoiri.credential_proxy.metrics_endpoint import metrics_socket
from hakoiri.credential_proxy.policy_file import read_policy
from hakoiri.credential_proxy.service import audit_log
from hakoiri.credential_proxy.unix_socket import BACKLOG, SocketPathError, listen_at
from hakoiri.credential_proxy.wiring import Wiring
from hakoiri.wire.proxy import Bind

WATCH_INTERVAL_S: Final = 1.0
DRAIN_TIMEOUT_S: Final = 5.0
NAME: Final = "alone"
"""Container, workspace and tenant in the decision log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandaloneSettings:
    """What one socket needs. Without `credentials` nothing can be injected.

    The certificates that clients of the socket must trust are written to `bundle`. On `metrics`,
    a Unix socket too, figures are told. Requests are audited into `audit_dir`, if it is named.
    """

    listen: Path
    policy: Path
    credentials: Path | None
    state_dir: Path
    bundle: Path
    metrics: Path | None = None
    audit_dir: Path | None = None
    mode: int = 0o600


async def serve_alone(
    settings: StandaloneSettings, *, environ: Mapping[str, str], log: DecisionLog
) -> None:
    """Serve until SIGTERM or SIGINT. Changed files are put in force; SIGHUP does so at once.

    Raises:
        CredentialProxyError: a file or a path cannot be used; the message tells the mend.
        AuditError: the audit log cannot be used.
    """
    with audit_log(settings.audit_dir) as audit:
        await _serve(settings, environ=environ, log=log, audit=audit)


async def _serve(
    settings: StandaloneSettings, *, environ: Mapping[str, str], log: DecisionLog, audit: AuditLog
) -> None:
    for path in (settings.listen, settings.metrics):
        if path is not None:
            _require_free(path)
    wiring = Wiring.of(
        read=lambda: _read_credentials(settings.credentials),
        environ=environ,
        state_dir=settings.state_dir,
        log=log,
        audit=audit,
        ledger_name=_ledger_name(settings.listen),
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(wiring.close)
        alone = _Alone(settings, wiring)
        alone.put_in_force()
        TrustBundle(
            directory=settings.bundle.parent,
            name=settings.bundle.name,
            certificate_pem=wiring.authority.certificate_pem,
        )
        loop = asyncio.get_running_loop()
        listener = listen_at(settings.listen, mode=settings.mode)
        stack.callback(settings.listen.unlink, missing_ok=True)
        server = await loop.create_unix_server(alone.server, sock=listener, backlog=BACKLOG)
        stack.push_async_callback(alone.end, server)
        if settings.metrics is not None:
            figures = wiring.metrics(alone.sockets)
            await stack.enter_async_context(metrics_socket(settings.metrics, figures))
        stop = asyncio.Event()
        for stop_signal in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(stop_signal, stop.set)
        loop.add_signal_handler(signal.SIGHUP, alone.reload)
        await alone.watch(stop)


class _Alone:
    """The one socket and what is in force on it."""

    def __init__(self, settings: StandaloneSettings, wiring: Wiring) -> None:
        self._settings = settings
        self._wiring = wiring
        self._socket = ContainerSocket(NAME)
        self._listener = wiring.new_listener(self._socket)
        self.server = self._listener.server()
        self._seen = self._look()

    def sockets(self) -> list[ContainerSocket]:
        """Return the one socket."""
        return [self._socket]

    def put_in_force(self) -> None:
        """Bind the socket under the policy's file; what it no longer allows is cut."""
        policy = read_policy(self._settings.policy)
        check_policy(policy, self._wiring.in_force.configuration, tenant=NAME)
        bind = Bind(workspace=NAME, tenant=NAME, generation=1, policy=policy)
        self._socket.bind(Binding.of(bind))
        self._socket.cut(where=self._listener.is_refused)

    def reload(self) -> None:
        """Put changed files in force; one that cannot be used is told, and the old stay."""
        self._seen = self._look()
        try:
            self._wiring.in_force.reload()
            self.put_in_force()
        except CredentialProxyError as error:
            told = f"hakoiri proxy: the old policy stays: {error}"
            print(told, file=sys.stderr, flush=True)  # noqa: T201 - the process's own voice

    async def watch(self, stop: asyncio.Event) -> None:
        """Look for changed files now and then, until `stop`."""
        while not stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(WATCH_INTERVAL_S):
                    await stop.wait()
            if self._look() != self._seen:
                self.reload()

    async def end(self, server: asyncio.Server) -> None:
        """Take no more connections, and wait a little for what runs."""
        server.close()
        self.server.end()
        await self.server.gone(timeout_s=DRAIN_TIMEOUT_S)
        self.server.cut()

    def _look(self) -> list[tuple[int, int, int] | None]:
        paths = (self._settings.policy, self._settings.credentials)
        return [_mark_of(path) for path in paths if path is not None]


def _mark_of(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def _read_credentials(path: Path | None) -> Configuration:
    return read_configuration(path) if path is not None else Configuration()


def _ledger_name(listen: Path) -> str:
    """Name the ledger after the socket: several proxies may share a state directory."""
    return f"budgets-{hashlib.sha256(os.fsencode(listen.absolute())).hexdigest()[:16]}.sqlite3"


def _require_free(path: Path) -> None:
    """Refuse to take the place of a socket that somebody answers, or of any other file."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise SocketPathError(f"{path}: {error.strerror}") from error
    if not stat.S_ISSOCK(mode):
        raise SocketPathError(f"{path}: is not a socket; name another path, or remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return
    raise SocketPathError(f"{path}: somebody listens there already; stop it, or name another path")
