"""`hakoiri policy`: what workspaces may reach."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from hakoiri.cli.client_options import DEFAULT_URL, Key, Url, client, show_json

app = typer.Typer(no_args_is_help=True, help="Say what workspaces may reach.")

Name = Annotated[str, typer.Argument(help="The policy's name.")]


@app.command()
def get(name: Name = "default", *, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Print a policy as JSON.

    Example: hakoiri policy get > policy.json
    """
    with client(url, key) as api:
        show_json(api.call("GET", f"/v1/policies/{name}"))


@app.command("set")
def set_(
    file: Annotated[Path, typer.Argument(help="JSON file; - reads standard input.")],
    name: Annotated[str, typer.Option(help="The policy's name.")] = "default",
    *,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Replace a policy; live workspaces under it follow at once.

    Example: hakoiri policy set policy.json
    """
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        policy = json.loads(text)
    except (OSError, ValueError) as error:
        typer.echo(f"hakoiri policy set: {file}: {error}", err=True)
        raise typer.Exit(2) from None
    with client(url, key) as api:
        api.call("PUT", f"/v1/policies/{name}", policy)
