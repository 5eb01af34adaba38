"""The options that every noun speaking to a running server shares."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import typer

from hakoiri.cli.api_client import ApiClient, ApiError
from hakoiri.cli.plain_text import plain
from hakoiri.host.settings import CLIENT_KEY_VARIABLE, CLIENT_URL_VARIABLE

DEFAULT_URL = "http://127.0.0.1:8420"

Url = Annotated[str, typer.Option("--url", help="The server.", envvar=CLIENT_URL_VARIABLE)]
Key = Annotated[str | None, typer.Option("--key", help="API key.", envvar=CLIENT_KEY_VARIABLE)]
Output = Annotated[
    Literal["text", "json"], typer.Option("--output", "-o", help="How to show the answer.")
]
Json = Annotated[bool, typer.Option("--json", help="Short for -o json.")]


@contextmanager
def client(url: str, key: str | None, *, timeout_s: float = 30) -> Iterator[ApiClient]:
    """Yield a client; a refusal becomes one line on standard error and exit code 1."""
    try:
        yield ApiClient(url, key=key, timeout_s=timeout_s)
    except ApiError as error:
        typer.echo(f"hakoiri: {plain(str(error))}", err=True)
        raise typer.Exit(1) from None


def wants_json(output: str, as_json: bool) -> bool:  # noqa: FBT001 - the options as given
    """Whether the answer is to be shown as data."""
    return as_json or output == "json"


def show_json(value: Any) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(value, indent=2))
