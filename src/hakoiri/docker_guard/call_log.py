"""The guard's log: one JSON line for each call, allowed or refused, on standard output."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TextIO

ALLOWED: Final = "engine_call_allowed"
REFUSED: Final = "engine_call_refused"
TARGET_LIMIT_CHARS: Final = 256
REASON_LIMIT_CHARS: Final = 512


class CallLog:
    """Writes the lines, one write each, in pure ASCII: a line stays a line."""

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._stream = stream or sys.stdout
        self._now = now

    def write(
        self,
        *,
        method: str,
        target: str,
        status: int,
        code: str | None = None,
        reason: str | None = None,
        uid: int | None = None,
        pid: int | None = None,
        total_ms: float = 0.0,
    ) -> None:
        """Record one call; a `code` means that it was refused or failed."""
        line = {
            "event": ALLOWED if code is None else REFUSED,
            "time": self._now().isoformat().replace("+00:00", "Z"),
            "method": method[:16],
            "target": target[:TARGET_LIMIT_CHARS],
            "status": status,
            "code": code,
            "reason": reason[:REASON_LIMIT_CHARS] if reason is not None else None,
            "uid": uid,
            "pid": pid,
            "total_ms": round(total_ms, 3),
        }
        self._stream.write(json.dumps(line, ensure_ascii=True) + "\n")
        self._stream.flush()
