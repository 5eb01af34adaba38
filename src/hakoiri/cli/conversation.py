"""`hakoiri conversation`: dialogues with agents."""

from functools import partial
from typing import Annotated, Any, Literal

import typer

from hakoiri.cli.api_client import path_of_conversation
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
from hakoiri.cli.event_printer import EventPrinter
from hakoiri.cli.live_screen import screen
from hakoiri.cli.noun import noun
from hakoiri.cli.screen import complain, remark, say, show_json
from hakoiri.cli.steady_events import Steady
from hakoiri.cli.turn_watch import watch_turn
from hakoiri.wire.messages import Runtime

app = noun("Talk to agents.")

Id = Annotated[str, typer.Argument(help="The conversation's id.")]


@app.command()
def create(
    *,
    kind: Annotated[
        Literal["agent", "chat"],
        typer.Option(help="agent: in a container, with tools and files; chat: the model alone."),
    ] = ("agent"),
    model: Annotated[str | None, typer.Option(help="Model id; absent means the server's.")] = None,
    system_prompt: Annotated[str | None, typer.Option(help="What the agent is told first.")] = None,
    runtime: Annotated[
        Runtime | None, typer.Option(help="Container runtime, if policy and server allow it.")
    ] = None,
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Create a conversation and print its id.

    Example: hakoiri conversation send "$(hakoiri conversation create)" "Hello"
    """
    body = {
        "kind": kind,
        "model": model,
        "system_prompt": system_prompt,
        "runtime": runtime,
    }
    with client(url, key) as api:
        given = {name: value for name, value in body.items() if value is not None}
        made = api.call("POST", "/v1/conversations", given)
    if wants_json(output, as_json):
        show_json(made)
    else:
        say(made["id"])


@app.command("list")
def list_(
    *, url: Url = DEFAULT_URL, key: Key = None, output: Output = "text", as_json: Json = False
) -> None:
    """List conversations, newest first.

    Example: hakoiri conversation list
    """
    with client(url, key) as api:
        listed: dict[str, Any] = api.call("GET", "/v1/conversations")
    if wants_json(output, as_json):
        show_json(listed)
        return
    if not listed["conversations"]:
        remark("there are none yet; `hakoiri conversation create` makes one")
    for one in listed["conversations"]:
        state = "running" if one["running"] else "idle"
        say(f"{one['id']}  {one['kind']:5}  {state:7}  {one['created_at']}")


@app.command()
def get(
    conversation: Id,
    *,
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Show one conversation, always as JSON.

    Example: hakoiri conversation get c-123 | jq .running
    """
    del output, as_json
    with client(url, key) as api:
        show_json(api.call("GET", path_of_conversation(conversation)))


@app.command()
def send(
    conversation: Id,
    text: Annotated[str, typer.Argument(help="What to say.")],
    *,
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Say something and watch the turn; exit code 1 if it ends in an error.

    Ctrl-C ends the watching (exit code 130), not the turn: `hakoiri conversation interrupt` does
    that. If the server stops meanwhile, the next one is waited for. As JSON, an event is one line.

    Example: hakoiri conversation send c-123 "Count the lines of all files here"
    """
    with client(url, key) as api:
        code = watch_turn(api, conversation, text, as_json=wants_json(output, as_json))
    raise typer.Exit(code)


@app.command()
def events(
    conversation: Id,
    *,
    after: Annotated[int, typer.Option(min=0, help="Begin after the event of this number.")] = 0,
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Show a conversation's events from its beginning and go on watching until Ctrl-C.

    If the server stops meanwhile, the next one is waited for. As JSON, each event is one line.

    Examples:
      hakoiri conversation events c-123

      hakoiri conversation events c-123 --after 40 -o json
    """
    with client(url, key) as api:
        printer = EventPrinter(screen())
        steady = Steady(api, tell=partial(complain, ""))
        for event in steady.log(conversation, after=after):
            if wants_json(output, as_json):
                show_json(event, indent=None)
            else:
                printer.show(event)


@app.command()
def interrupt(
    conversation: Id,
    *,
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Ask the running turn to end early.

    Example: hakoiri conversation interrupt c-123
    """
    with client(url, key) as api:
        told = api.call("POST", f"{path_of_conversation(conversation)}/interrupt")
    show_done(told, output, as_json)


@app.command()
def delete(
    conversation: Id,
    *,
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Forget a conversation with its events and its workspace; refused while a turn runs.

    Example: hakoiri conversation delete c-123
    """
    with client(url, key) as api:
        told = api.call("DELETE", path_of_conversation(conversation))
    show_done(told, output, as_json)
