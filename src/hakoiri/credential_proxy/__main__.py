"""`python -m hakoiri.credential_proxy`: the proxy alone, without the front door."""

from pathlib import Path
from typing import Annotated

import typer

from hakoiri.credential_proxy.service import run


def main(
    sockets_dir: Annotated[Path, typer.Option(help="Where each container's directory is made.")],
    control: Annotated[Path, typer.Option(help="The control plane's socket.")],
    file: Annotated[Path, typer.Option(help="The proxy's own file (TOML).")],
    state_dir: Annotated[Path, typer.Option(help="The proxy's own directory, for nobody else.")],
) -> None:
    """Run the credential proxy until SIGTERM; SIGHUP reloads its file."""
    raise typer.Exit(run(sockets_dir=sockets_dir, control=control, file=file, state_dir=state_dir))


if __name__ == "__main__":
    typer.run(main)
