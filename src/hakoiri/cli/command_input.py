"""What a command gets as its input: this process's own, if there is any to be had."""

import os
import stat
import sys
from typing import Final

from hakoiri.wire.command_limits import STDIN_LIMIT_BYTES

_READABLE: Final = frozenset({stat.S_IFIFO, stat.S_IFREG, stat.S_IFSOCK})


class InputError(Exception):
    """The command line cannot be used; the message names the option and the mend."""


def read_input(*, even_from_terminal: bool) -> bytes | None:
    """Return standard input to its end if it is a pipe or a file; None where there is none.

    Raises `InputError` if it is longer than a command's input may be.
    """
    try:
        kind = stat.S_IFMT(os.fstat(sys.stdin.fileno()).st_mode)
    except (OSError, ValueError, AttributeError):  # closed, or nothing with a descriptor
        return None
    if kind not in _READABLE and not even_from_terminal:
        return None
    raw = sys.stdin.buffer.read(STDIN_LIMIT_BYTES + 1)
    if len(raw) > STDIN_LIMIT_BYTES:
        raise InputError(f"the input is longer than {STDIN_LIMIT_BYTES} bytes; send it as a file")
    return raw
