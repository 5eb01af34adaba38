"""`python -m hakoiri.audit.shipping`: copies the audit log elsewhere, until SIGTERM.

It reads its launch, with the secrets of its targets, as JSON from standard input. Each target has a
thread, so that one that hangs holds up no other; each step of theirs is bounded in time.
"""

import json
import signal
import socket
import sys
import threading
import time
from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError

from hakoiri.audit.chain import AuditError
from hakoiri.audit.shipping.configuration import (
    FileTarget,
    S3Target,
    ShipLaunch,
    SyslogTarget,
    Target,
)
from hakoiri.audit.shipping.courier import Courier
from hakoiri.audit.shipping.file_target import FileCopy
from hakoiri.audit.shipping.s3_target import BucketCopy
from hakoiri.audit.shipping.status import ShipStatus
from hakoiri.audit.shipping.syslog_target import SyslogSender
from hakoiri.audit.shipping.targets import SealedTarget, StreamTarget
from hakoiri.audit.told_file import write_told

USAGE_EXIT_CODE: Final = 2
EVERY_S: Final = 1.0
"""Between two looks at chains of which a target has all."""

TOLD_EVERY_S: Final = 2.0


def main() -> None:
    """Ship until SIGTERM; exit 1 if the shipper's own files cannot be used."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        launch = ShipLaunch.model_validate_json(sys.stdin.buffer.read())
        couriers = [_courier(target, launch) for target in launch.targets]
        ship(couriers, launch, stopping)
    except ValidationError as error:
        fields = [".".join(map(str, one["loc"])) for one in error.errors(include_input=False)]
        sys.stderr.write(f"hakoiri audit shipper: bad launch: {', '.join(fields)}\n")
        sys.exit(USAGE_EXIT_CODE)
    except (AuditError, OSError) as error:
        sys.stderr.write(f"hakoiri audit shipper: {error}\n")
        sys.exit(1)


def ship(couriers: list[Courier], launch: ShipLaunch, stopping: threading.Event) -> None:
    """Let every courier work, and tell how far each got, until `stopping`. Raises `OSError`."""
    threads = [
        threading.Thread(target=serve, args=(one, stopping), name="courier", daemon=True)
        for one in couriers
    ]
    for thread in threads:
        thread.start()
    while True:
        is_over = stopping.wait(TOLD_EVERY_S)
        told = ShipStatus(told_at=time.time(), targets=[one.status for one in couriers])
        write_told(launch.status_file, told)
        if is_over:
            return


def serve(courier: Courier, stopping: threading.Event) -> None:
    """Let one courier work until `stopping`."""
    while not stopping.is_set():
        if not courier.step():
            stopping.wait(courier.pause_s or EVERY_S)


def _courier(target: Target, launch: ShipLaunch) -> Courier:
    return Courier(
        name=target.name,
        kind=target.kind,
        target=_speaker(target, instance=launch.instance),
        chains=launch.chains,
        places_file=launch.state_dir / f"{target.name}.json",
        tell=_tell,
    )


def _speaker(target: Target, *, instance: str) -> StreamTarget | SealedTarget:
    match target:
        case FileTarget():
            return FileCopy(target.directory, instance=instance)
        case SyslogTarget():
            return SyslogSender(target, instance=instance, host=socket.gethostname())
        case S3Target():
            return BucketCopy(target, instance=instance)


def _tell(event: str, **fields: object) -> None:
    line = {"event": event, "time": datetime.now(UTC).isoformat(), **fields}
    sys.stdout.write(json.dumps(line, ensure_ascii=True) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
