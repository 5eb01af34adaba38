"""The front door: one command for each process, one noun for each thing."""

from importlib.metadata import version
from typing import Annotated

import typer

from hakoiri.cli.commands_on_demand import CommandsOnDemand

app = typer.Typer(
    name="hakoiri",
    cls=CommandsOnDemand,
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,  # they may hold what must not be shown
)


def _show_version(*, asked: bool) -> None:
    if asked:
        typer.echo(f"hakoiri {version('hakoiri')}")
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
