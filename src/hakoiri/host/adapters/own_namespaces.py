"""The namespaces that this process is in, by their numbers: a box must be in others."""

import re
from pathlib import Path
from typing import Final, get_args

from hakoiri.wire.box import Namespace

NAMESPACES: Final = Path("/proc/self/ns")
_NUMBERED: Final = re.compile(r"[a-z]+:\[(?P<number>[0-9]{1,20})\]")


def read_own_namespaces(directory: Path = NAMESPACES) -> dict[Namespace, int]:
    """Return the number of each kind (namespaces(7)).

    What cannot be read is left out, and nothing passes then for another's.
    """
    found: dict[Namespace, int] = {}
    for kind in get_args(Namespace):
        try:
            told = _NUMBERED.fullmatch(str((directory / kind).readlink()))
        except OSError:
            continue
        if told is not None:
            found[kind] = int(told["number"])
    return found
