"""The one way to the terminal: what is printed here is harmless, whoever said it.

Names, paths, answers and errors may hold what a box or another client wrote. A test keeps the other
modules of the command line from printing by themselves.
"""

import json
import sys
from typing import Any, TextIO

from hakoiri.cli.plain_text import plain


def say(text: object, *, end: str = "\n") -> None:
    """Print an answer to standard output."""
    _write(sys.stdout, f"{plain(str(text))}{end}")


def remark(text: object) -> None:
    """Print what goes beside the answer, to standard error."""
    _write(sys.stderr, f"{plain(str(text))}\n")


def complain(command: str, error: object) -> None:
    """Print what is wrong with `hakoiri COMMAND`, as one line of standard error."""
    told = " ".join(line.strip() for line in str(error).splitlines())
    remark(f"{f'hakoiri {command}'.strip()}: {told}")


def show_json(value: Any, *, indent: int | None = 2) -> None:
    """Print a value as JSON, in ASCII."""
    say(json.dumps(value, indent=indent))


def _write(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()
