"""`python -m hakoiri.rehearsal`: the rehearsal model as a process.

Secrets come from the environment alone: `HAKOIRI_REHEARSAL_SECRET_ACCESS_KEY`,
`HAKOIRI_REHEARSAL_SESSION_TOKEN` and `HAKOIRI_REHEARSAL_API_KEY`. When it is ready it prints one
line `{"listening": "127.0.0.1:PORT"}` on stdout. SIGTERM and SIGINT end it with exit code 0.
"""

import asyncio
import contextlib
import ipaddress
import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Annotated, Final

import typer
import uvicorn

from hakoiri.rehearsal.app import Identities, Rehearsal, create_app
from hakoiri.rehearsal.journal import Journal
from hakoiri.rehearsal.script import SCRIPT_LIMIT_BYTES, Script, ScriptError, read_script
from hakoiri.rehearsal.signature import SigningKey

ENV_PREFIX: Final = "HAKOIRI_REHEARSAL_"
USAGE_EXIT: Final = 2
SHUTDOWN_GRACE_S: Final = 1
PORT_LIMIT: Final = 65_535
ID_BYTES: Final = 12


class StartError(Exception):
    """The rehearsal cannot start so; the message names the option and the mend."""


class _Server(uvicorn.Server):
    """Ends well on a signal, where uvicorn would raise the signal again after its shutdown."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def run(
    listen: Annotated[
        str, typer.Option(help="Loopback address and port; port 0 takes a free one.")
    ] = "127.0.0.1:0",
    script: Annotated[
        Path | None,
        typer.Option(help="YAML script, - for standard input; else the built-in."),
    ] = None,
    region: Annotated[str, typer.Option(help="Region that Bedrock signatures must name.")] = (
        "us-east-1"
    ),
    access_key_id: Annotated[
        str | None,
        typer.Option(
            envvar=ENV_PREFIX + "ACCESS_KEY_ID",
            help="Key that must have signed; its secret comes from the environment.",
        ),
    ] = None,
) -> None:
    """Serve scripted answers on the wire formats of Bedrock and Anthropic. Calls no model."""
    try:
        played = load_script(script)
        identities = read_identities(os.environ, region=region, access_key_id=access_key_id)
        listener = bind(listen)
    except (StartError, ScriptError) as error:
        typer.echo(f"rehearsal: {error}", err=True)
        raise typer.Exit(USAGE_EXIT) from error
    with listener:
        asyncio.run(_serve(listener, script=played, identities=identities))


def load_script(path: Path | None) -> Script:
    """Read the script at `path`, or the built-in one; `-` is standard input.

    Raises `StartError` or `ScriptError`.
    """
    if path is None:
        built_in = resources.files("hakoiri.rehearsal") / "scripts" / "default.yaml"
        return read_script(built_in.read_text("utf-8"), source="default.yaml")
    try:
        with sys.stdin.buffer if str(path) == "-" else path.open("rb") as file:
            text = file.read(SCRIPT_LIMIT_BYTES + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"--script {path}: cannot be read: {error}") from error
    return read_script(text, source=str(path))


def read_identities(
    environment: Mapping[str, str], *, region: str, access_key_id: str | None
) -> Identities:
    """Gather the credentials that callers must prove. Raises `StartError` when there are none."""
    secret = environment.get(ENV_PREFIX + "SECRET_ACCESS_KEY") or None
    api_key = environment.get(ENV_PREFIX + "API_KEY") or None
    if (access_key_id is None) != (secret is None):
        raise StartError(
            f"give --access-key-id and {ENV_PREFIX}SECRET_ACCESS_KEY together, or neither"
        )
    key = None
    if access_key_id is not None and secret is not None:
        token = environment.get(ENV_PREFIX + "SESSION_TOKEN") or None
        key = SigningKey(access_key_id, secret, region, token)
    if key is None and api_key is None:
        raise StartError(
            f"nobody could be let in; set {ENV_PREFIX}API_KEY, or --access-key-id and"
            f" {ENV_PREFIX}SECRET_ACCESS_KEY"
        )
    return Identities(signing_key=key, api_key=api_key)


def bind(listen: str) -> socket.socket:
    """Listen on a loopback `host:port`. Raises `StartError` for any other address."""
    host, _, port = listen.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(host)
        number = int(port)
    except ValueError as error:
        raise StartError(f"--listen {listen}: write it as 127.0.0.1:PORT") from error
    if not address.is_loopback:
        raise StartError(f"--listen {listen}: only loopback is allowed; use 127.0.0.1")
    if not 0 <= number <= PORT_LIMIT:
        raise StartError(f"--listen {listen}: a port is 0 to {PORT_LIMIT}")
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET  # noqa: PLR2004  # IPv6
    try:
        return socket.create_server((str(address), number), family=family)
    except OSError as error:
        raise StartError(f"--listen {listen}: {error.strerror}; choose another port") from error


async def _serve(listener: socket.socket, *, script: Script, identities: Identities) -> None:
    journal = Journal()
    rehearsal = Rehearsal(
        script=script,
        identities=identities,
        journal=journal,
        now=lambda: datetime.now(UTC),
        sleep=asyncio.sleep,
        new_id=lambda prefix: prefix + secrets.token_hex(ID_BYTES),
    )
    server = _Server(
        uvicorn.Config(
            create_app(rehearsal=rehearsal, journal=journal),
            # uvicorn would report each scripted cut as an error of ours.
            log_level="critical",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
        )
    )
    host, port = listener.getsockname()[:2]
    typer.echo("rehearsal: this is a rehearsal; no model is called", err=True)
    # The socket listens already: who reads this line may connect.
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    typer.echo(json.dumps({"listening": place}))
    await server.serve(sockets=[listener])


if __name__ == "__main__":
    typer.run(run)
