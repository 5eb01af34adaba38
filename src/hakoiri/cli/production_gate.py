"""What is started for production does not start while a layer of protection is missing."""

from typing import Final

import typer

from hakoiri.cli.doctor.production_required import lacking
from hakoiri.cli.screen import complain
from hakoiri.host.settings import Settings

LACKING_EXIT_CODE: Final = 2


def require_production(settings: Settings, *, command: str) -> None:
    """Exit with 2 and a line for each thing that production lacks; nothing was touched then."""
    missing = lacking(settings)
    for line in missing:
        complain(command, line)
    if missing:
        raise typer.Exit(LACKING_EXIT_CODE)
