"""The command line's words, each loaded when it is asked for.

Together they import the server, its database and the proxy, which takes two seconds of processor
time; `hakoiri workspace exec` needs none of that.
"""

from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command

PROCESSES: Final = {
    "serve": ("hakoiri.cli.serve", "serve"),
    "proxy": ("hakoiri.cli.proxy", "proxy"),
    "docker-guard": ("hakoiri.cli.docker_guard", "docker_guard"),
    "service": ("hakoiri.cli.service", "service"),
    "demo": ("hakoiri.cli.demo.command", "demo"),
    "doctor": ("hakoiri.cli.doctor.command", "doctor"),
    "probe": ("hakoiri.cli.probe", "probe"),
}
"""Commands: the module and its function."""

NOUNS: Final = {
    **{
        name: f"hakoiri.cli.{name}"
        for name in ("conversation", "workspace", "files", "policy", "pool", "key", "audit")
    },
    "image": "hakoiri.cli.image",
    "backup": "hakoiri.cli.backup.command",
}
"""Nouns with commands of their own: the module that has them in its `app`."""

CONTEXT: Final[dict[Any, Any]] = {"help_option_names": ["-h", "--help"]}


class CommandsOnDemand(TyperGroup):
    """The group of all words. Its types are those of typer's inner click, which has no name."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return all words, in the order of the help."""
        del ctx
        return [*PROCESSES, *NOUNS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Load one word's command; None if there is no such word."""
        del ctx
        if cmd_name in NOUNS:
            noun: typer.Typer = import_module(NOUNS[cmd_name]).app
            command = get_command(noun)
        elif cmd_name in PROCESSES:
            module, function = PROCESSES[cmd_name]
            alone = typer.Typer(add_completion=False, context_settings=CONTEXT)
            alone.command()(getattr(import_module(module), function))
            command = get_command(alone)
        else:
            return None
        command.name = cmd_name
        return command
