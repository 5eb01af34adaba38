"""`hakoiri demo`: plays one conversation and shows the proofs."""

import json
import subprocess
from typing import Any, Final

import typer
from rich.markup import escape

from hakoiri.cli.api_client import ApiError
from hakoiri.cli.client_options import Json, Output, wants_json
from hakoiri.cli.demo import proofs
from hakoiri.cli.demo.proofs import NothingToProveError, Proof, Turn
from hakoiri.cli.demo.server_process import ServerProcessError
from hakoiri.cli.demo.stage import SITE_HOST, Stage, stage
from hakoiri.cli.event_printer import EventPrinter
from hakoiri.cli.live_screen import Screen, screen
from hakoiri.cli.plain_text import plain
from hakoiri.cli.screen import complain, say
from hakoiri.cli.supervisor.preparation import PreparationError, require_root
from hakoiri.cli.termination import end_in_order_on_sigterm
from hakoiri.wire.guard import engine_name

USAGE_EXIT_CODE: Final = 2
DEMO_ERRORS: Final = (
    ServerProcessError,
    NothingToProveError,
    ApiError,
    subprocess.CalledProcessError,
    OSError,
)


def demo(
    *,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Play one conversation with the rehearsal model and prove what Hakoiri promises.

    Needs root, a container engine and the workspace image (`make demo` sees to all of it). Leaves
    nothing behind. Ends with 0 only if every proof held.

    Examples:
      hakoiri demo

      hakoiri demo --json | jq '.proofs[] | select(.held | not)'
    """
    is_data = wants_json(output, as_json)
    console = screen(stderr=is_data)
    try:
        require_root()
    except PreparationError as error:
        complain("demo", error)
        raise typer.Exit(USAGE_EXIT_CODE) from None
    end_in_order_on_sigterm()
    console.print("[bold]Hakoiri demo[/] · REHEARSAL: no model is called, its words are scripted")
    try:
        with stage(say=lambda what: console.print(f"· {what}")) as set_stage:
            held = _Play(set_stage, console).play()
    except (
        ServerProcessError,
        proofs.NothingToProveError,
        ApiError,
        subprocess.CalledProcessError,
        OSError,
    ) as error:
        complain("demo", error)
        raise typer.Exit(1) from None
    if is_data:
        say(json.dumps({"proofs": [proof.as_data() for proof in held]}, indent=2))
    raise typer.Exit(0 if held and all(proof.held for proof in held) else 1)


class _Play:
    """The conversation, scene by scene."""

    def __init__(self, on: Stage, console: Screen) -> None:
        self._stage = on
        self._console = console
        self._proofs: list[Proof] = []
        self._conversation = ""
        self._printer = EventPrinter(console)

    def play(self) -> list[Proof]:
        created = self._stage.api.call("POST", "/v1/conversations", {})
        self._conversation = created["id"]
        first = self._say("Write a haiku about a sealed box into a file.")
        self._prove(proofs.real_turn(first))
        self._prove(proofs.only_loopback(self._say("Which network interfaces do you see?")))
        container = engine_name(first.container)
        inspected = proofs.inspect(self._stage, container)
        self._prove(proofs.hardened(inspected))
        self._prove(proofs.no_secret(self._stage, container, inspected))
        self._policy_change()
        self._prove(proofs.signed(self._stage.model_requests()))
        self._prove(proofs.stored(self._stage, self._conversation))
        self._console.print("· the container is taken away, as by a crash")
        proofs.remove(self._stage, container)
        self._prove(proofs.remembered(first, self._say("What did I ask first?")))
        return self._proofs

    def _policy_change(self) -> None:
        before = self._say(f"Fetch {self._stage.site_url}")
        policy: dict[str, Any] = self._stage.api.call("GET", "/v1/policies/default")
        policy["rules"] = [{"host": SITE_HOST, "ports": [self._stage.site_port]}]
        self._stage.api.call("PUT", "/v1/policies/default", policy)
        self._console.print(f"· the policy now allows {SITE_HOST}")
        self._prove(proofs.refused_then_allowed(before, self._say(f"Fetch {self._stage.site_url}")))

    def _say(self, text: str) -> Turn:
        self._console.print()
        events = []
        for event in self._stage.api.send(self._conversation, text):
            events.append(event)
            self._printer.show(event)
        return Turn(events)

    def _prove(self, proof: Proof) -> None:
        mark = "[green]holds[/]" if proof.held else "[bold red]BROKEN[/]"
        self._console.print(f"{mark}  {proof.promise} [dim]({escape(plain(proof.seen))})[/]")
        self._proofs.append(proof)
