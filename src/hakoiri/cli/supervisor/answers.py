"""`python -m hakoiri.cli.supervisor.answers WHERE`: whether a process serves, for health checks.

`WHERE` is `unix:/path`, `tcp:HOST:PORT`, `http://HOST:PORT/PATH` or `file:/path`. Exit code 0 if
somebody listens, answers with 200, or the file is there; else 1. The standard library only: it
runs every few seconds.
"""

import socket
import sys
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

TIMEOUT_S: Final = 4.0
OK: Final = 200
USAGE_EXIT_CODE: Final = 2


def answers(where: str) -> bool:
    """Whether somebody answers there; `ValueError` for what is no such place."""
    kind, _, rest = where.partition(":")
    try:
        match kind:
            case "unix":
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                    client.settimeout(TIMEOUT_S)
                    client.connect(rest)
                return True
            case "tcp":
                host, _, port = rest.rpartition(":")
                socket.create_connection((host, int(port)), timeout=TIMEOUT_S).close()
                return True
            case "http":
                return _says_ok(rest.removeprefix("//"))
            case "file":
                return Path(rest).is_file()
    except (OSError, HTTPException):
        return False
    raise ValueError(
        f"{where}: write unix:/PATH, tcp:HOST:PORT, http://HOST:PORT/PATH or file:/PATH"
    )


def _says_ok(rest: str) -> bool:
    place, _, path = rest.partition("/")
    with closing(HTTPConnection(place, timeout=TIMEOUT_S)) as connection:
        connection.request("GET", f"/{path}")
        return connection.getresponse().status == OK


def main() -> None:
    """Ask the one place that is named; say nothing."""
    try:
        (where,) = sys.argv[1:]
        sys.exit(0 if answers(where) else 1)
    except ValueError as error:
        sys.stderr.write(f"answers: {error}\n")
        sys.exit(USAGE_EXIT_CODE)


if __name__ == "__main__":
    main()
