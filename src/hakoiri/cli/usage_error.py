"""What is wrong with a command line's words, in one line."""

import re
from difflib import get_close_matches
from typing import Any, Final

import typer

from hakoiri.cli.screen import complain

USAGE_EXIT_CODE: Final = 2
_NO_COMMAND: Final = re.compile(r"no such command '(?P<word>[^']*)'")
PROGRAM: Final = "hakoiri"


def show_usage_error(error: typer.TyperException) -> int:
    """Tell what typer found; return the exit code.

    Whoever names a noun alone gets its help, as typer does it.
    """
    found: Any = error
    if type(error).__name__ == "NoArgsIsHelpError":
        found.show()
        return USAGE_EXIT_CODE
    context = getattr(found, "ctx", None)
    path = (context.command_path if context is not None else PROGRAM).removeprefix(PROGRAM).strip()
    told = found.format_message() if hasattr(found, "format_message") else str(found)
    help_of = f"{PROGRAM} {path}".strip()
    complain(path, f"{_sentence(told, context)}; see `{help_of} --help`")
    return USAGE_EXIT_CODE


def _sentence(told: str, context: Any) -> str:
    """Return typer's message in our manner, with the nearest word where it has none."""
    text = (
        told.strip()
        .replace(": Value error, ", ": ")
        .removesuffix(".")
        .removesuffix("?")
        .replace(". Did you", ", did you")
    )
    text = text[:1].lower() + text[1:]
    found = _NO_COMMAND.fullmatch(text)
    if found is None or not hasattr(context, "command"):
        return text
    near = get_close_matches(found["word"], context.command.list_commands(context), n=1)
    return f"{text}, did you mean {near[0]!r}" if near else text
