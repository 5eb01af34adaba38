"""`hakoiri workspace`: boxes and their files, with or without a conversation."""

from typing import Annotated, Any, Literal

import typer

from hakoiri.cli.client_options import (
    DEFAULT_URL,
    Json,
    Key,
    Output,
    Url,
    client,
    show_done,
    wants_json,
)
from hakoiri.cli.command_input import InputError, read_input
from hakoiri.cli.command_run import CommandLine, run_command
from hakoiri.cli.noun import noun
from hakoiri.cli.recovery_points import RESTORE_PATIENCE_S, add_to
from hakoiri.cli.screen import complain, remark, say, show_json
from hakoiri.cli.waiting import waiting
from hakoiri.cli.workspace_path import path_of_workspace

app = noun("Run commands in sealed boxes, and keep their files.")
add_to(app)

Id = Annotated[str, typer.Argument(help="The workspace's id, or a conversation's.")]


@app.command()
def create(
    *,
    policy: Annotated[str, typer.Option(help="What it may reach: a policy's name.")] = "default",
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Create a workspace without a conversation and print its id.

    Example: hakoiri workspace exec "$(hakoiri workspace create)" -- uname -a
    """
    with client(url, key) as api:
        made = api.call("POST", "/v1/workspaces", {"policy": policy})
    if wants_json(output, as_json):
        show_json(made)
    else:
        say(made["id"])


@app.command("exec")
def exec_(
    workspace: Id,
    command: Annotated[list[str], typer.Argument(help="The program and its arguments.")],
    *,
    directory: Annotated[
        str, typer.Option("--directory", "-w", help="Where to run it, in /workspace.")
    ] = "/workspace",
    environment: Annotated[
        list[str] | None, typer.Option("--env", "-e", metavar="NAME=VALUE", help="Add a variable.")
    ] = None,
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Read input from a terminal, too.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Kill it after so many seconds.")
    ] = 300,
    raw: Annotated[
        bool, typer.Option("--raw", help="Send control characters to the terminal as they are.")
    ] = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    r"""Run a command in the workspace's box; a box is started if none is live.

    The command's exit code is passed on, 128 and the signal's number if one ended it, 124 if its
    time was up. Ctrl-C kills it. A pipe or a file as input is read to its end and passed on.

    On a terminal control characters are shown (`\x1b`) and not sent, as the box is not trusted;
    into a pipe or a file every byte goes as it is.

    Examples:
      hakoiri workspace exec w-123 -- python3 -c 'print(6 * 7)'

      tar c src | hakoiri workspace exec w-123 -- tar xv

      hakoiri workspace exec c-123 -w src -e CI=1 --timeout 60 -- make test
    """
    try:
        line = CommandLine(
            argv=command,
            directory=directory,
            environment=dict(_variable(text) for text in environment or []),
            stdin=read_input(even_from_terminal=interactive),
            timeout_s=timeout,
        )
    except InputError as error:
        complain("workspace exec", error)
        raise typer.Exit(2) from None
    with client(url, key, timeout_s=START_PATIENCE_S) as api:
        code = run_command(
            api, path_of_workspace(workspace), line, as_json=wants_json(output, as_json), raw=raw
        )
    raise typer.Exit(code)


START_PATIENCE_S = 180
"""A box that has to be waited for, and then started, may take this long until anything is said."""


@app.command("list")
def list_(
    *, url: Url = DEFAULT_URL, key: Key = None, output: Output = "text", as_json: Json = False
) -> None:
    """List workspaces, those of conversations too, newest first.

    Example: hakoiri workspace list
    """
    with client(url, key) as api:
        listed: dict[str, Any] = api.call("GET", "/v1/workspaces")
    if wants_json(output, as_json):
        show_json(listed)
        return
    if not listed["workspaces"]:
        remark("there are none yet; `hakoiri workspace create` makes one")
    for one in listed["workspaces"]:
        state = "in use" if one["in_use"] else one["state"]
        say(f"{one['id']}  {state:6}  {one['created_at']}  {one['conversation_id'] or '-'}")


@app.command()
def get(
    workspace: Id,
    *,
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Show one workspace, always as JSON.

    Example: hakoiri workspace get w-123 | jq .state
    """
    del output, as_json
    with client(url, key) as api:
        show_json(api.call("GET", path_of_workspace(workspace)))


@app.command()
def kill(
    workspace: Id,
    *,
    files: Annotated[
        Literal["save", "lose", "delete"],
        typer.Option(help="Save them first, lose what is not saved, or delete them all."),
    ] = "save",
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Kill a workspace's box with all that runs in it.

    Examples:
      hakoiri workspace kill w-123                  # its files stay

      hakoiri workspace kill w-123 --files delete   # nothing stays
    """
    with client(url, key, timeout_s=RESTORE_PATIENCE_S) as api, waiting("saving and killing"):
        told = api.call("DELETE", f"{path_of_workspace(workspace)}?files={files}")
    show_done(told, output, as_json)


def _variable(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise InputError(f"--env {text}: write NAME=VALUE")
    return name, value
