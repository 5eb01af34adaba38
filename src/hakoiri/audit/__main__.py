"""`python -m hakoiri.audit`: the keeper, which reads its launch as JSON from standard input."""

import json
import signal
import sys
import threading
from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError

from hakoiri.audit.chain import AuditError
from hakoiri.audit.keeper import Keeper, keep, load_or_make_key
from hakoiri.audit.launch import KeeperLaunch

USAGE_EXIT_CODE: Final = 2


def main() -> None:
    """Sign heads until SIGTERM; exit 1 if the keeper's own files cannot be used."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        launch = KeeperLaunch.model_validate_json(sys.stdin.buffer.read())
        keeper = Keeper(
            directory=launch.heads,
            chains=launch.chains,
            key=load_or_make_key(launch.directory),
            tell=_tell,
        )
        keep(keeper, is_stopping=stopping.wait, status_file=launch.status_file)
    except ValidationError as error:
        sys.stderr.write(f"hakoiri audit keeper: {error}\n")
        sys.exit(USAGE_EXIT_CODE)
    except (AuditError, OSError) as error:
        sys.stderr.write(f"hakoiri audit keeper: {error}\n")
        sys.exit(1)


def _tell(event: str, **fields: object) -> None:
    line = {"event": event, "time": datetime.now(UTC).isoformat(), **fields}
    sys.stdout.write(json.dumps(line, ensure_ascii=True) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
