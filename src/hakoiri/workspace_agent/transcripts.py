"""The transcripts that the agent's CLI keeps at home: which of them holds a turn's message.

The CLI writes one file of JSON lines a session, `projects/<directory>/<session>.jsonl` below its
own directory, and the user's message as soon as it takes it, under the id that it came with (seen
in the bundled CLI, 2.1). So the id tells, after a container was lost, whether the message is in the
memory that came back. A transcript may be cut off anywhere, and is what the agent made of it.
"""

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

CONFIGURATION_VARIABLE: Final = "CLAUDE_CONFIG_DIR"
TRANSCRIPTS_LIMIT: Final = 1000
"""So many transcripts are looked at, the newest first."""

LINE_LIMIT_BYTES: Final = 64 * 1024 * 1024
TURNS: Final = uuid.UUID("5a8ed7d8-6a0f-4f5f-9d3c-0b1f6a3f1c58")
"""Names our turns among all UUIDs (RFC 9562, section 5.5); any other constant would do."""


def message_id(turn_id: str) -> str:
    """Return the id of a turn's message: alike however often the turn is taken up."""
    return str(uuid.uuid5(TURNS, turn_id))


def session_that_holds(message: str, *, home: Path, session_id: str | None) -> str | None:
    """Return the session whose transcript holds the message with this id; None if none does.

    Looks at `session_id` alone where it is given. Reads files; call it off the event loop.
    """
    for path in _transcripts(home, session_id):
        if _holds(path, message):
            return path.stem
    return None


def _transcripts(home: Path, session_id: str | None) -> list[Path]:
    own = os.environ.get(CONFIGURATION_VARIABLE)
    directory = Path(own) if own else home / ".claude"
    found = [
        (path.stat().st_mtime_ns, path)
        for path in directory.glob("projects/*/*.jsonl")
        if path.is_file() and not path.is_symlink() and session_id in (None, path.stem)
    ]
    return [path for _, path in sorted(found, reverse=True)[:TRANSCRIPTS_LIMIT]]


def _holds(path: Path, message: str) -> bool:
    wanted = message.encode()
    return any(wanted in line and _is_message(line, message) for line in _lines(path))


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while line := file.readline(LINE_LIMIT_BYTES):
            yield line


def _is_message(line: bytes, message: str) -> bool:
    """Whether the line is the user's message itself: others name its id too."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return False  # cut off, or no JSON
    return isinstance(entry, dict) and (entry.get("type"), entry.get("uuid")) == ("user", message)
