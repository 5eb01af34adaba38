"""`python -m hakoiri.credential_proxy`: the proxy alone, without the front door."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from hakoiri.credential_proxy.service import ProxySettings, run


def main(
    sockets_dir: Annotated[Path, typer.Option(help="Where each container's directory is made.")],
    control: Annotated[Path, typer.Option(help="The control plane's socket.")],
    file: Annotated[Path, typer.Option(help="The proxy's own file (TOML).")],
    state_dir: Annotated[Path, typer.Option(help="The proxy's own directory, for nobody else.")],
    audit_dir: Annotated[
        Path | None, typer.Option(help="Where its audit log is written; absent means none.")
    ] = None,
    *,
    stand_by: Annotated[
        bool, typer.Option("--stand-by", help="Serve only when standard input ends.")
    ] = False,
) -> None:
    """Run the credential proxy until SIGTERM; SIGHUP reloads its file."""
    if stand_by:
        _until_needed()
    settings = ProxySettings(
        sockets_dir=sockets_dir,
        control=control,
        file=file,
        state_dir=state_dir,
        audit_dir=audit_dir,
    )
    raise typer.Exit(run(settings))


def _until_needed() -> None:
    """Wait, with all that is slow to load loaded; then let go of the input, which shows it."""
    sys.stdin.buffer.read()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


if __name__ == "__main__":
    typer.run(main)
