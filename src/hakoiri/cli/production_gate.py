"""What is started for production does not start while a layer of protection is missing."""

import typer

from hakoiri.cli.screen import complain
from hakoiri.cli.usage_error import USAGE_EXIT_CODE
from hakoiri.host.settings import Settings


def require_production(settings: Settings, *, command: str) -> None:
    """Exit with 2 and a line for each thing that production lacks; nothing was touched then."""
    # it counts keys in the database, which takes as long to import as all else that serves
    from hakoiri.cli.doctor.production_required import lacking  # noqa: PLC0415

    missing = lacking(settings)
    for line in missing:
        complain(command, line)
    if missing:
        raise typer.Exit(USAGE_EXIT_CODE)
