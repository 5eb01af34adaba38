"""Whether the engine's registration of gVisor's runsc seals what it runs, purely.

Flags are read as `runsc` does, by Go's `flag` package: one or two dashes, `--name=value` or
`--name value`, of one that is given twice the last holds (seen with release 20221219: `runsc
--network=none --network=host` has the host's network). What of that could be read in two ways is
refused: a flag without `=` may take whatever follows as its value, and what follows a word that is
none is not read at all. Only of `--oci-seccomp` is it known that it takes none.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from hakoiri.wire.guard import RUNSC_FLAGS

YES: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
"""What `strconv.ParseBool` takes for true."""

SHOWN_CHARS: Final = 64
_FLAG: Final = re.compile(r"--?(?P<name>[^-=][^=]*)(?:=(?P<value>.*))?", re.DOTALL)
_SWITCH: Final = "oci-seccomp"


def why_not_sealed(arguments: Iterable[str]) -> str | None:
    """Return what is wrong with the arguments that runsc is registered with; None if nothing is.

    What is returned goes on after "registered".
    """
    given: dict[str, list[str]] = {}
    for argument in arguments:
        flag = _read(argument)
        if flag is None:
            return f"with {argument[:SHOWN_CHARS]!r}, which is not written as --name=value"
        given.setdefault(flag[0], []).append(flag[1])
    lacking = [flag for flag, (name, _) in _WANTED.items() if name not in given]
    if lacking:
        return f"without {' '.join(lacking)}"
    return _contradiction(given)


def _contradiction(given: Mapping[str, list[str]]) -> str | None:
    for flag, (name, wanted) in _WANTED.items():
        for value in given[name]:
            if value != wanted:
                return f"with --{name}={value[:SHOWN_CHARS]}, where only {flag} may be"
    return None


def _read(argument: str) -> tuple[str, str] | None:
    """Return name and value of a flag that can be read in one way; None if it cannot."""
    found = _FLAG.fullmatch(argument)
    if found is None:
        return None
    name, value = found["name"], found["value"]
    if name == _SWITCH:
        return name, "true" if value is None or value in YES else value
    return None if value is None else (name, value)


def _wanted(flags: Iterable[str]) -> dict[str, tuple[str, str]]:
    read = {flag: _read(flag) for flag in flags}
    return {flag: found for flag, found in read.items() if found is not None}


_WANTED: Final = _wanted(RUNSC_FLAGS)
"""Name and value of what must be there, by the flag as it is written."""
