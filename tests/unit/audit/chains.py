"""Chains to test with."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from hakoiri.audit.chain import Position, hash_of, seal
from hakoiri.audit.event import AuditEvent, EventKind, Stamp

AT = datetime(2026, 11, 26, 12, 0, 0, 250_000, tzinfo=UTC)


def an_event(number: int) -> AuditEvent:
    return AuditEvent(
        kind=EventKind.TURN_STARTED, tenant="acme", workspace=f"w{number}", details={"turn": number}
    )


def lines(count: int, *, start: Position | None = None) -> list[bytes]:
    position = start or Position()
    made = []
    for _ in range(count):
        stamp = Stamp("server", "1.0", position.sequence + 1, AT)
        line = seal(an_event(stamp.sequence), stamp, previous=position.hash)
        position = Position(stamp.sequence, hash_of(line))
        made.append(line)
    return made


def write(directory: Path, content: Sequence[bytes], *, first: int = 1) -> Path:
    path = directory / f"{first:015d}.jsonl"
    path.write_bytes(b"".join(content))
    return path
