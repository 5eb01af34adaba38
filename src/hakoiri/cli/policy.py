"""`hakoiri policy`: what workspaces may reach."""

import sys
from pathlib import Path
from typing import Annotated, Any

import tomli_w
import typer

from hakoiri.cli import policy_preset
from hakoiri.cli.client_options import (
    DEFAULT_URL,
    Json,
    Key,
    Output,
    Url,
    client,
    show_json,
    wants_json,
)
from hakoiri.credential_proxy.configuration import Configuration, read_configuration
from hakoiri.credential_proxy.errors import CredentialProxyError
from hakoiri.credential_proxy.explanation import explain
from hakoiri.credential_proxy.policy_file import FILE_LIMIT_BYTES, parse_policy, read_policy
from hakoiri.wire.policy import Policy
from hakoiri.wire.policy_test import Explanation

app = typer.Typer(no_args_is_help=True, help="Say what workspaces may reach.")
app.add_typer(policy_preset.app, name="preset")

Name = Annotated[str, typer.Argument(help="The policy's name.")]


@app.command()
def get(
    name: Name = "default",
    *,
    output: Output = "text",
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Print a policy, as TOML or with -o json as JSON.

    Example: hakoiri policy get > policy.toml
    """
    with client(url, key) as api:
        policy = api.call("GET", f"/v1/policies/{name}")
    if wants_json(output, json):
        show_json(policy)
    else:
        typer.echo(tomli_w.dumps(_without_nothing(policy)), nl=False)


@app.command("set")
def set_(
    file: Annotated[Path, typer.Argument(help="TOML or JSON; - reads standard input.")],
    name: Annotated[str, typer.Option(help="The policy's name.")] = "default",
    *,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Replace a policy; live workspaces under it follow at once.

    Examples:
      hakoiri policy set policy.toml

      hakoiri policy get | edit | hakoiri policy set -
    """
    policy = _read(file, "set")
    with client(url, key) as api:
        api.call("PUT", f"/v1/policies/{name}", policy.model_dump(mode="json"))


@app.command("test")
def explain_(
    target: Annotated[str, typer.Argument(metavar="URL", help="Where a request would go.")],
    *,
    method: Annotated[str, typer.Option(help="The request's method.")] = "GET",
    file: Annotated[
        Path | None, typer.Option("--policy", help="A policy's file, in place of the server's.")
    ] = None,
    name: Annotated[str, typer.Option(help="The name of the server's policy.")] = "default",
    credentials: Annotated[
        Path | None, typer.Option(help="The proxy's own file, to know its credentials.")
    ] = None,
    tenant: Annotated[str, typer.Option(help="Whose policy it is.")] = "default",
    output: Output = "text",
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Explain what becomes of a request under a policy; exit code 1 when it is refused.

    Nothing is sent anywhere. The address is checked when a connection is made, not here.

    Examples:
      hakoiri policy test https://api.github.com/user --policy policy.toml

      hakoiri policy test https://example.com/ --method POST
    """
    if file is not None:
        policy = _read(file, "test")
    else:
        with client(url, key) as api:
            policy = Policy.model_validate(api.call("GET", f"/v1/policies/{name}"))
    try:
        configuration = read_configuration(credentials) if credentials else Configuration()
    except CredentialProxyError as error:
        raise _unusable("test", error) from None
    explanation = explain(
        method.upper(), target, policy=policy, configuration=configuration, tenant=tenant
    )
    if wants_json(output, json):
        show_json(explanation.model_dump(mode="json"))
    else:
        _show(explanation)
    raise typer.Exit(0 if explanation.verdict == "allowed" else 1)


def _show(explanation: Explanation) -> None:
    marks = {"passed": "yes", "failed": "no", "later": "later"}
    for step in explanation.steps:
        typer.echo(f"{marks[step.result]:>6}  {step.check:<13} {step.text}")
    typer.echo(f"{explanation.verdict} ({explanation.code})")
    if explanation.mend:
        typer.echo(f"mend: {explanation.mend}")


def _read(file: Path, command: str) -> Policy:
    try:
        if str(file) == "-":
            return parse_policy(sys.stdin.read(FILE_LIMIT_BYTES))
        return read_policy(file)
    except CredentialProxyError as error:
        raise _unusable(command, error) from None


def _unusable(command: str, error: CredentialProxyError) -> typer.Exit:
    typer.echo(f"hakoiri policy {command}: {error}", err=True)
    return typer.Exit(2)


def _without_nothing(value: Any) -> Any:
    """Return `value` without what TOML cannot say: null. It is the default of every such field."""
    if isinstance(value, dict):
        return {key: _without_nothing(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nothing(item) for item in value]
    return value
