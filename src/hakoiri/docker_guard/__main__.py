"""`python -m hakoiri.docker_guard`: the guard under a supervisor, which says all on its input."""

import sys
from typing import Final

import uvloop
from pydantic import ValidationError

from hakoiri.audit.chain import AuditError
from hakoiri.docker_guard.call_log import CallLog
from hakoiri.docker_guard.process import serve
from hakoiri.docker_guard.rules import GuardLaunch

USAGE_EXIT_CODE: Final = 2


def main() -> None:
    """Read the launch as JSON from standard input, serve until SIGTERM."""
    try:
        launch = GuardLaunch.model_validate_json(sys.stdin.buffer.read())
        uvloop.run(serve(launch, log=CallLog()))
    except ValidationError as error:
        sys.stderr.write(f"hakoiri docker-guard: {error}\n")
        sys.exit(USAGE_EXIT_CODE)
    except (AuditError, OSError) as error:
        sys.stderr.write(f"hakoiri docker-guard: cannot serve: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
