"""How a noun of the command line is made, so that all behave alike."""

from typing import Any, Final

import typer

CONTEXT: Final[dict[Any, Any]] = {"help_option_names": ["-h", "--help"]}


def noun(summary: str) -> typer.Typer:
    """Return a noun that shows its commands when none is named."""
    return typer.Typer(
        no_args_is_help=True,
        add_completion=False,  # it would be that of the noun, as if it were a program
        context_settings=CONTEXT,
        help=summary,
    )
