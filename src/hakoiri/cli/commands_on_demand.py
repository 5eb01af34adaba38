"""The command line's words, each loaded when it is asked for.

Together they import the server, its database and the proxy, which takes two seconds of processor
time; `hakoiri workspace exec` needs none of that, and the list of all words neither.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from hakoiri.cli.noun import CONTEXT
from hakoiri.cli.usage_error import show_usage_error

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

SUMMARIES: Final = {
    "serve": "Run the server: API, orchestrator, credential proxy and docker guard.",
    "proxy": "Serve one socket with one policy, without a server.",
    "docker-guard": "Serve a narrow, checked part of the engine's API on a socket.",
    "service": "Run one process of `hakoiri serve`, in a container of its own.",
    "demo": "Play one conversation with the rehearsal model and prove what Hakoiri promises.",
    "doctor": "Say what this host has and lacks, one line each, with the mend.",
    "probe": "Try from inside a box what must not work there; exit with 1 if anything does.",
    "conversation": "Talk to agents.",
    "workspace": "Run commands in sealed boxes, and keep their files.",
    "files": "List, read, write and remove a workspace's files.",
    "policy": "Say what workspaces may reach.",
    "pool": "Keep warm containers ready.",
    "key": "Make, list and revoke API keys.",
    "audit": "Read and check the audit log.",
    "image": "Build, look through and sign the agents' image.",
    "backup": "Save an installation, and put it back.",
}
"""What each word's own help begins with."""


class CommandsOnDemand(TyperGroup):
    """The group of all words. Its types are those of typer's inner click, which has no name."""

    _only_named = False
    """While the list of all words is shown, which needs no more than their names."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return all words, in the order of the help."""
        del ctx
        return [*PROCESSES, *NOUNS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Load one word's command; None if there is no such word."""
        del ctx
        if cmd_name not in SUMMARIES:
            return None
        if self._only_named:
            return TyperCommand(cmd_name, callback=None, help=SUMMARIES[cmd_name])
        if cmd_name in NOUNS:
            named: typer.Typer = import_module(NOUNS[cmd_name]).app
            command = get_command(named)
        else:
            module, function = PROCESSES[cmd_name]
            alone = typer.Typer(add_completion=False, context_settings=CONTEXT)
            alone.command()(getattr(import_module(module), function))
            command = get_command(alone)
        command.name = cmd_name
        return command

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Show the list of all words."""
        self._only_named = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._only_named = False

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 - typer's signature
        windows_expand_args: bool = True,  # noqa: FBT001, FBT002
        **extra: Any,
    ) -> Any:
        """Run the command line; what is wrong with its words is told in one line, exit code 2."""
        try:
            code = super().main(
                args=args,
                prog_name=prog_name,
                complete_var=complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )
        except typer.TyperException as error:
            code = show_usage_error(error)
        if standalone_mode:
            sys.exit(code)
        return code
