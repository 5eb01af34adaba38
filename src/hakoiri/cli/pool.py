"""`hakoiri pool`: the containers that wait for a conversation."""

from typing import Annotated, Any

import typer

from hakoiri.cli.client_options import (
    DEFAULT_URL,
    Json,
    Key,
    Output,
    Url,
    client,
    wants_json,
)
from hakoiri.cli.noun import noun
from hakoiri.cli.screen import say, show_json
from hakoiri.wire.messages import Runtime

app = noun("Keep warm containers ready.")

PATH = "/v1/pool"


@app.command()
def show(
    *, url: Url = DEFAULT_URL, key: Key = None, output: Output = "text", json: Json = False
) -> None:
    """Show what the pool is set to, and how many containers there are.

    Example: hakoiri pool show -o json
    """
    with client(url, key) as api:
        _show(api.call("GET", PATH), as_json=wants_json(output, json))


@app.command("set")
def set_(
    *,
    minimum: Annotated[
        int | None, typer.Option("--min", help="Refilled beside other work below this.")
    ] = None,
    target: Annotated[int | None, typer.Option(help="Refilled up to this when idle.")] = None,
    maximum: Annotated[int | None, typer.Option("--max", help="Never more than these.")] = None,
    runtime: Annotated[
        Runtime | None, typer.Option(help="Whose pool; the only or first one if not given.")
    ] = None,
    max_age: Annotated[
        float | None, typer.Option(help="Seconds after which a container is replaced.")
    ] = None,
    at_once: Annotated[int | None, typer.Option(help="Containers started at once.")] = None,
    preconnect: Annotated[
        bool | None, typer.Option(help="Start the agent's own process ahead, too.")
    ] = None,
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    json: Json = False,
) -> None:
    """Change the pool; what is not given stays. In force at once, and after a restart.

    Examples:
      hakoiri pool set --min 2 --target 4 --max 8

      hakoiri pool set --runtime runsc --min 1 --target 1 --max 2
    """
    sizes = {"min": minimum, "target": target, "max": maximum}
    rest = {"max_age_s": max_age, "refills_at_once": at_once, "preconnect": preconnect}
    with client(url, key) as api:
        told = api.call("GET", PATH)
        configuration = told["configuration"] | _given(rest)
        of = runtime or next(iter([*configuration["runtimes"], *told["runtimes"]]))
        size = configuration["runtimes"].get(of, {"min": 0, "target": 0, "max": 0})
        configuration["runtimes"][of] = size | _given(sizes)
        _show(api.call("PUT", PATH, configuration), as_json=wants_json(output, json))


@app.command()
def reset(
    *, url: Url = DEFAULT_URL, key: Key = None, output: Output = "text", json: Json = False
) -> None:
    """Let the server's own settings count again.

    Example: hakoiri pool reset
    """
    with client(url, key) as api:
        _show(api.call("DELETE", PATH), as_json=wants_json(output, json))


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _show(report: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(report)
        return
    configuration = report["configuration"]
    whose = "set with `hakoiri pool set`" if report["source"] == "stored" else "the settings'"
    say(
        f"{whose}: replaced after {configuration['max_age_s']:g} s, "
        f"{configuration['refills_at_once']} started at once, "
        f"agent's process {'ahead' if configuration['preconnect'] else 'with the first message'}"
    )
    for runtime, now in report["runtimes"].items():
        size = configuration["runtimes"].get(runtime, {"min": 0, "target": 0, "max": 0})
        say(
            f"{runtime:6} {now['state']:10} ready {now['ready']}, starting {now['starting']}, "
            f"going {now['retiring']}; min {size['min']}, target {size['target']}, "
            f"max {size['max']}" + (f" ({now['reason']})" if now["reason"] else "")
        )
