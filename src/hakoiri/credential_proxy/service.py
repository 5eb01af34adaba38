"""The credential proxy as a process: everything is wired here, and nowhere else."""

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    nullcontext,
)
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import uvloop
from aiohttp import web

from hakoiri.audit.chain import AuditError
from hakoiri.audit.writer import AuditLog, ChainWriter, NoAuditLog
from hakoiri.credential_proxy.configuration import read_configuration
from hakoiri.credential_proxy.control import Control
from hakoiri.credential_proxy.decision_log import DecisionLog
from hakoiri.credential_proxy.errors import ConfigurationError, CredentialProxyError
from hakoiri.credential_proxy.freed_memory import keep_freed_memory
from hakoiri.credential_proxy.interception.trust_bundle import TrustBundle
from hakoiri.credential_proxy.metrics_endpoint import add_metrics
from hakoiri.credential_proxy.socket_registry import SocketRegistry
from hakoiri.credential_proxy.unix_socket import SocketPathError, listen_at
from hakoiri.credential_proxy.wiring import Wiring
from hakoiri.garbage import pass_over_what_is_loaded
from hakoiri.tracing.exporting import Tracing, open_tracing
from hakoiri.tracing.launch import TracingLaunch
from hakoiri.wire.agent import CA_BUNDLE_NAME

DRAIN_TIMEOUT_S: Final = 5.0
_CONTROL_MODE: Final = 0o660

EXIT_USAGE: Final = 2
CHAIN: Final = "proxy"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """Where the proxy finds its file, makes its sockets, and keeps what outlives it.

    It audits into `audit_dir`; without one it keeps no audit log. If its `audit_goes_on`, requests
    pass that cannot be recorded. `tracing` says where spans go.
    """

    sockets_dir: Path
    control: Path
    file: Path
    state_dir: Path
    audit_dir: Path | None = None
    audit_goes_on: bool = False
    tracing: TracingLaunch | None = None


def run(settings: ProxySettings) -> int:
    """Run the proxy until SIGTERM or SIGINT; SIGHUP reloads its file.

    Returns the exit code: 0 after an orderly end, 2 when the file or a path cannot be used (told
    on standard error with the mend).
    """
    keep_freed_memory()
    try:
        with audit_log(settings.audit_dir, goes_on=settings.audit_goes_on) as audit:
            uvloop.run(serve(settings, environ=os.environ, log=DecisionLog(), audit=audit))
    except (CredentialProxyError, AuditError) as error:
        print(f"hakoiri proxy: {error}", file=sys.stderr)  # noqa: T201 - the process's own voice
        return EXIT_USAGE
    return 0


def audit_log(directory: Path | None, *, goes_on: bool = False) -> AbstractContextManager[AuditLog]:
    """Return the proxy's chain, to be entered; one that forgets where there is no directory.

    If it `goes_on`, nothing is held back that cannot be recorded. Entering raises `AuditError`.
    """
    if directory is None:
        return nullcontext(NoAuditLog())
    return ChainWriter(directory, chain=CHAIN, version=version("hakoiri"), goes_on=goes_on)


async def serve(
    settings: ProxySettings, *, environ: Mapping[str, str], log: DecisionLog, audit: AuditLog
) -> None:
    """Serve until the process is told to stop.

    Raises:
        ConfigurationError: the proxy's file cannot be used.
        SocketPathError: the control socket or the sockets' directory cannot be used.
    """
    _check_sockets_dir(settings.sockets_dir)
    _raise_open_files_limit()
    async with AsyncExitStack() as stack:
        tracing = await stack.enter_async_context(_tracing(settings.tracing))
        wiring = Wiring.of(
            read=lambda: read_configuration(settings.file),
            environ=environ,
            state_dir=settings.state_dir,
            log=log,
            audit=audit,
            tracing=tracing,
        )
        await _serve(settings, wiring, stack)


async def _serve(settings: ProxySettings, wiring: Wiring, stack: AsyncExitStack) -> None:
    bundle = TrustBundle(
        directory=settings.sockets_dir,
        name=CA_BUNDLE_NAME,
        certificate_pem=wiring.authority.certificate_pem,
    )
    in_force = wiring.in_force
    stack.push_async_callback(wiring.close)
    registry = SocketRegistry(
        directory=settings.sockets_dir,
        in_force=in_force,
        bundle=bundle,
        new_listener=wiring.new_listener,
    )
    stack.push_async_callback(registry.close)
    control = Control(
        registry=registry,
        in_force=in_force,
        books=wiring.books,
        audit=wiring.audit,
        version=version("hakoiri"),
    )
    application = control.application()
    add_metrics(application, wiring.metrics(registry.sockets))
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.SockSite(runner, listen_at(settings.control, mode=_CONTROL_MODE)).start()
    stack.callback(_unlink_own, settings.control, settings.control.stat().st_ino)
    pass_over_what_is_loaded()
    await _until_stopped(registry)
    registry.stop_listening()
    await registry.drain(timeout_s=DRAIN_TIMEOUT_S)


def _tracing(launch: TracingLaunch | None) -> AbstractAsyncContextManager[Tracing | None]:
    return open_tracing(
        launch,
        service="hakoiri-proxy",
        version=version("hakoiri"),
        tell_state=lambda is_taken: _tell_exporting(is_taken=is_taken),
    )


def _tell_exporting(*, is_taken: bool) -> None:
    """Say on standard error that spans can or cannot be sent from now on."""
    told = (
        "spans are taken again" if is_taken else "spans are lost: the receiver does not take them"
    )
    print(f"hakoiri proxy: tracing: {told}", file=sys.stderr, flush=True)  # noqa: T201 - as above


async def _until_stopped(registry: SocketRegistry) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for stop_signal in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(stop_signal, stop.set)
    loop.add_signal_handler(signal.SIGHUP, _reload, registry)
    await stop.wait()


def _reload(registry: SocketRegistry) -> None:
    try:
        registry.reload()
    except ConfigurationError as error:
        print(f"hakoiri proxy: the old file stays: {error}", file=sys.stderr)  # noqa: T201 - as above


def _unlink_own(path: Path, inode: int) -> None:
    # A successor may already listen there.
    if path.is_socket() and path.stat().st_ino == inode:
        path.unlink()


def _check_sockets_dir(directory: Path) -> None:
    if not directory.is_absolute() or not directory.is_dir():
        raise SocketPathError(f"{directory}: must be the absolute path of a directory")


def _raise_open_files_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
