"""`python -m hakoiri.cli` is `hakoiri`."""

import sys
from typing import Final

from hakoiri.host.own_environment import drop_credentials

WITHOUT_CREDENTIALS: Final = ("serve", "docker-guard", "probe")
"""Commands whose processes must hold none; the proxy and what speaks to the API may."""


def run() -> None:
    """Run the command line; the `hakoiri` script."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command in WITHOUT_CREDENTIALS:
        drop_credentials(f"hakoiri {command}")
    from hakoiri.cli.main import app  # noqa: PLC0415 - after the environment is clean

    app()


if __name__ == "__main__":
    run()
