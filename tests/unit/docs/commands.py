"""The commands that a page names, and whether there are such."""

import re
from typing import Any, Final

from typer.main import get_command

from hakoiri.cli.main import app

_INLINE: Final = re.compile(r"`(hakoiri [^`\n]+)`")
_BLOCK: Final = re.compile(r"^(?:    )?(hakoiri [^\n#|<>]+?)(?:\s*[#|<>].*)?$", re.MULTILINE)
_MAKE: Final = re.compile(r"`make ([a-z0-9-]+)")
CONTEXT: Final[dict[str, Any]] = {"info_name": "hakoiri"}


def commands_of(page: str) -> set[str]:
    """Return each call of ours that the page shows, in a line of code or a block."""
    return {one.strip() for one in (*_INLINE.findall(page), *_BLOCK.findall(page))}


def targets_of(page: str) -> set[str]:
    """Return each target of make that the page names."""
    return set(_MAKE.findall(page))


def fault_of(command: str) -> str | None:
    """Return what is not there of a command: a word or an option; None if all of it is."""
    words = command.split()[1:]
    found: Any = get_command(app)
    context = found.context_class(found, **CONTEXT)
    while words and hasattr(found, "get_command"):
        word = words.pop(0)
        if word.startswith("-"):
            words.insert(0, word)
            break
        if (inner := found.get_command(context, word)) is None:
            return f"there is no {word}"
        found = inner
    if hasattr(found, "get_command"):
        return None if not words else _unknown_option(found, words)
    return _unknown_option(found, words)


def _unknown_option(command: Any, words: list[str]) -> str | None:
    known = {"-", "--help", "-h"}
    for parameter in command.params:
        known |= {*parameter.opts, *parameter.secondary_opts}
    for word in words:
        name = word.partition("=")[0]
        if name == "--":
            return None
        if name.startswith("-") and name not in known:
            return f"there is no {name}"
    return None
