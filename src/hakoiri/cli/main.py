"""The front door: one command for each process, one noun for each thing."""

from typing import Annotated

import typer

from hakoiri.cli.commands_on_demand import CommandsOnDemand
from hakoiri.cli.noun import CONTEXT
from hakoiri.cli.screen import say

app = typer.Typer(
    name="hakoiri",
    cls=CommandsOnDemand,
    no_args_is_help=True,
    add_completion=False,
    context_settings=CONTEXT,
    pretty_exceptions_show_locals=False,  # they may hold what must not be shown
)


def _show_version(*, asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # noqa: PLC0415 - slow, and seldom asked

        say(f"hakoiri {version('hakoiri')}")
        raise typer.Exit


@app.callback()
def main(
    *,
    shown: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Run AI agents that nobody has to trust: sealed containers, one credential proxy.

    Examples:
      hakoiri doctor               # is this host ready?

      hakoiri demo                 # see the whole system once, without a model

      hakoiri serve                # run it
    """
    del shown
