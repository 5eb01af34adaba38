"""The front door: one command for each process, one noun for each thing."""

from importlib.metadata import version
from typing import Annotated

import typer

from hakoiri.cli import audit, conversation, image, key, policy
from hakoiri.cli.demo.command import demo
from hakoiri.cli.docker_guard import docker_guard
from hakoiri.cli.doctor.command import doctor
from hakoiri.cli.probe import probe
from hakoiri.cli.proxy import proxy
from hakoiri.cli.serve import serve

app = typer.Typer(
    name="hakoiri",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,  # they may hold what must not be shown
)
app.command()(serve)
app.command()(proxy)
app.command(name="docker-guard")(docker_guard)
app.command()(demo)
app.command()(doctor)
app.command()(probe)
app.add_typer(conversation.app, name="conversation")
app.add_typer(policy.app, name="policy")
app.add_typer(key.app, name="key")
app.add_typer(audit.app, name="audit")
app.add_typer(image.app, name="image")


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
