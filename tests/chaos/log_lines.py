"""The server's own words around what a storm found. Pure."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from tests.chaos.invariants import Violation

BEFORE: Final = timedelta(seconds=2)
AFTER: Final = timedelta(seconds=1)
"""What led to it, and what came of it."""

LINES_LIMIT: Final = 60
LINE_LIMIT_CHARS: Final = 320

_CONTAINER: Final = re.compile(r"\bc[0-9a-f]{16}\b")
_TOKEN: Final = re.compile(r"\b[0-9a-f]{8}-\d+\b")
"""What a user of the load calls one thing that he does (`load.py`)."""

_TURN: Final = re.compile(r"\bturn (\d+)\b")


def around(
    violation: Violation, lines: Sequence[str], log: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return the lines that tell of a violation, and those about its time; the last so many.

    `log` are the events of its conversation. A line without a time belongs to the one before it.
    """
    names = [*_CONTAINER.findall(violation.detail)]
    if violation.conversation:
        names.append(violation.conversation.partition("-")[2])
    times = [*_times(violation, log)]
    found, at = [], None
    for line in lines:
        at = time_of(line) or at
        is_near = at is not None and any(one - BEFORE <= at <= one + AFTER for one in times)
        if is_near or any(name in line for name in names):
            found.append(line[:LINE_LIMIT_CHARS])
    return found[-LINES_LIMIT:]


def time_of(line: str) -> datetime | None:
    """Return when a line was written, None if it does not say so."""
    try:
        told = json.loads(line)
        return datetime.fromisoformat(told.get("timestamp") or told["time"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _times(violation: Violation, log: Iterable[Mapping[str, Any]]) -> Iterable[datetime]:
    """Yield when it may have come about: of a line itself, or of the events that it speaks of."""
    own = time_of(violation.detail)
    if own is not None:
        yield own
    turns = {int(number) for number in _TURN.findall(violation.detail)}
    tokens = _TOKEN.findall(violation.detail)
    for event in log:
        said = json.dumps(event["data"])
        is_end = event["turn"] in turns and event["type"] in ("error", "result")
        if is_end or any(token in said for token in tokens):
            yield datetime.fromisoformat(event["time"])
