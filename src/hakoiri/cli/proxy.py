"""`hakoiri proxy`: the credential proxy alone, in front of any container."""

import os
import re
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from hakoiri.audit.chain import AuditError
from hakoiri.cli.supervisor.audit_ground import PROXY_CHAIN
from hakoiri.credential_proxy.binding import check_policy
from hakoiri.credential_proxy.configuration import Configuration, read_configuration
from hakoiri.credential_proxy.decision_log import DecisionLog
from hakoiri.credential_proxy.errors import CredentialProxyError
from hakoiri.credential_proxy.freed_memory import keep_freed_memory
from hakoiri.credential_proxy.policy_file import read_policy
from hakoiri.credential_proxy.standalone import NAME, StandaloneSettings, serve_alone

_EXIT_USAGE = 2
_MODE = re.compile(r"0?[0-7]{3}")


def proxy(
    *,
    listen: Annotated[Path, typer.Option(help="The Unix socket to listen on.")],
    policy: Annotated[Path, typer.Option(help="What may pass: TOML or JSON; empty denies all.")],
    credentials: Annotated[
        Path | None, typer.Option(help="The proxy's own file, with the credentials.")
    ] = None,
    state_dir: Annotated[
        Path | None,
        typer.Option(help="Where the certificate authority is kept; nobody else may read it."),
    ] = None,
    ca_bundle: Annotated[
        Path | None,
        typer.Option(help="Where to write what clients must trust; default SOCKET.ca.pem."),
    ] = None,
    metrics: Annotated[
        Path | None,
        typer.Option(help="A Unix socket that answers GET /metrics, for Prometheus."),
    ] = None,
    audit_dir: Annotated[
        Path | None,
        typer.Option(help="Where to keep an audit log; see `hakoiri audit --dir`."),
    ] = None,
    mode: Annotated[
        str, typer.Option(help="The socket's mode; 666 for a container with users of its own.")
    ] = "600",
    check: Annotated[bool, typer.Option("--check", help="Only check the files.")] = False,
) -> None:
    """Serve one socket with one policy, without a server. Decisions go to standard output.

    Changed files are put in force within a second, or at SIGHUP; a broken one is told and the old
    stays. What the new policy forbids is cut.

    Examples:
      hakoiri proxy --listen /run/box/proxy.sock --policy policy.toml

      hakoiri proxy --listen p.sock --policy policy.toml --credentials proxy.toml --check
    """
    if _MODE.fullmatch(mode) is None:
        raise typer.BadParameter(f"{mode!r} is not a mode like 600", param_hint="--mode")
    socket_path = listen.absolute()
    try:
        if check:
            _check(policy, credentials)
            return
        settings = StandaloneSettings(
            listen=socket_path,
            policy=policy.absolute(),
            credentials=credentials.absolute() if credentials is not None else None,
            state_dir=_state_directory(state_dir),
            bundle=(ca_bundle or socket_path.with_name(socket_path.name + ".ca.pem")).absolute(),
            metrics=metrics.absolute() if metrics is not None else None,
            audit_dir=_own_directory(audit_dir / PROXY_CHAIN) if audit_dir is not None else None,
            mode=int(mode, 8),
        )
        keep_freed_memory()
        uvloop.run(serve_alone(settings, environ=os.environ, log=DecisionLog()))
    except (CredentialProxyError, AuditError, OSError) as error:
        typer.echo(f"hakoiri proxy: {error}", err=True)
        raise typer.Exit(_EXIT_USAGE) from None


def _check(policy: Path, credentials: Path | None) -> None:
    configuration = read_configuration(credentials) if credentials else Configuration()
    check_policy(read_policy(policy), configuration, tenant=NAME)
    typer.echo("the policy can be used")


def _state_directory(given: Path | None) -> Path:
    """Return the directory given, or the user's own (XDG Base Directory), made for them alone."""
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # noqa: PTH111
    return _own_directory(given or Path(base) / "hakoiri-proxy")


def _own_directory(path: Path) -> Path:
    directory = path.absolute()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory
