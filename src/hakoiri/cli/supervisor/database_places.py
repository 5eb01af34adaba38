"""What the server must see of the host's files to reach its database."""

import re
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

SQLITE: Final = re.compile(r"sqlite(\+\w+)?:///(?P<path>/[^?]*).*")
POSTGRESQL: Final = "postgresql"
NAMING: Final = ("host", "passfile")
"""What in a PostgreSQL URL may name a path: the directory of its socket, and the passwords."""


def database_directories(url: str | None) -> tuple[Path, ...]:
    """Return the directories that the server writes: that of SQLite's file."""
    found = SQLITE.fullmatch(url or "")
    return (Path(found["path"]).parent,) if found else ()


def database_paths(url: str | None) -> tuple[Path, ...]:
    """Return what the server must see, but not write: PostgreSQL's socket, its passwords' file."""
    parts = urlsplit(url or "")
    if parts.scheme.partition("+")[0] != POSTGRESQL:
        return ()
    named = parse_qs(parts.query)
    paths = (Path(value) for name in NAMING for value in named.get(name, ()))
    return tuple(path for path in paths if path.is_absolute())
