"""`python -m hakoiri.credential_proxy`: the proxy alone, without the front door."""

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from hakoiri.credential_proxy.service import ProxySettings, run
from hakoiri.tracing.exporting import load_exporter
from hakoiri.tracing.launch import TracingLaunch

INPUT_LIMIT_BYTES: Final = 256 * 1024


def main(
    sockets_dir: Annotated[Path, typer.Option(help="Where each container's directory is made.")],
    control: Annotated[Path, typer.Option(help="The control plane's socket.")],
    file: Annotated[Path, typer.Option(help="The proxy's own file (TOML).")],
    state_dir: Annotated[Path, typer.Option(help="The proxy's own directory, for nobody else.")],
    audit_dir: Annotated[
        Path | None, typer.Option(help="Where its audit log is written; absent means none.")
    ] = None,
    *,
    audit_goes_on: Annotated[
        bool, typer.Option("--audit-goes-on", help="Let pass what cannot be recorded.")
    ] = False,
    stand_by: Annotated[
        bool, typer.Option("--stand-by", help="Serve only when standard input ends.")
    ] = False,
    tracing: Annotated[
        bool, typer.Option("--tracing", help="Standard input says, as JSON, where spans go.")
    ] = False,
) -> None:
    """Run the credential proxy until SIGTERM; SIGHUP reloads its file."""
    if tracing:
        load_exporter()
    told = _until_needed() if stand_by or tracing else b""
    settings = ProxySettings(
        sockets_dir=sockets_dir,
        control=control,
        file=file,
        state_dir=state_dir,
        audit_dir=audit_dir,
        audit_goes_on=audit_goes_on,
        tracing=TracingLaunch.model_validate_json(told) if tracing else None,
    )
    raise typer.Exit(run(settings))


def _until_needed() -> bytes:
    """Wait, with all that is slow to load loaded; then let go of the input, which shows it.

    Returns what it said.
    """
    told = sys.stdin.buffer.read(INPUT_LIMIT_BYTES)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return told


if __name__ == "__main__":
    typer.run(main)
