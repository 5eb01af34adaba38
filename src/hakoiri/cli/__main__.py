"""`python -m hakoiri.cli` is `hakoiri`."""

import sys
from io import TextIOWrapper
from typing import Final

from hakoiri.cli import exit_codes
from hakoiri.host.own_environment import drop_credentials

WITHOUT_CREDENTIALS: Final = ("serve", "docker-guard", "probe")
"""Commands whose processes must hold none; the proxy and what speaks to the API may."""


def run() -> None:
    """Run the command line; the `hakoiri` script."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command in WITHOUT_CREDENTIALS:
        drop_credentials(f"hakoiri {command}")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what the terminal has no letter for is written out
            stream.reconfigure(errors="backslashreplace")
    try:
        from hakoiri.cli.main import app  # noqa: PLC0415 - after the environment is clean

        app()
    except KeyboardInterrupt:  # while something was imported; else typer has seen to it
        sys.exit(exit_codes.INTERRUPTED)


if __name__ == "__main__":
    run()
