"""Lines that each hold the hash of the one before, purely: making them, and checking them.

A line is one JSON document in ASCII, `metadata` first (so that its sequence number is the first in
the line) and `unmapped` last, whose last member is `previous_hash`: SHA-256, in hexadecimal, of the
line before with its line break. What is at a fixed place is found without parsing, so that millions
of lines are checked in seconds; inside JSON text a quotation mark is always escaped, so nothing
that an event says can look like it. A changed line shows in the one after it; a dropped, repeated
or moved one in its number as well; the last one only in a signed head (`heads`).
"""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Final

from hakoiri.audit.event import AuditEvent, Stamp
from hakoiri.audit.ocsf import to_ocsf

GENESIS: Final = "0" * 64
"""What stands for the hash before the first line."""

LINE_LIMIT_BYTES: Final = 64 * 1024
_BODY_LIMIT_CHARS: Final = LINE_LIMIT_BYTES - 128
_HASH_CHARS: Final = 64
_HASH_NAME: Final = b',"previous_hash":"'
_END: Final = b'"}}\n'
_SEQUENCE: Final = b'{"metadata":{"sequence":'
_encode: Final = json.JSONEncoder(
    ensure_ascii=True, check_circular=False, separators=(",", ":"), allow_nan=False
).encode


class AuditError(Exception):
    """The audit log cannot be used; the message says why."""


class ChainError(AuditError):
    """The lines are not those that were written; the message says where and what is wrong."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a chain goes: the number of its last line, and that line's hash."""

    sequence: int = 0
    hash: str = GENESIS


def seal(event: AuditEvent, stamp: Stamp, *, previous: str) -> bytes:
    """Return the event's line, line break included; details that would make it too long are cut."""
    body = _encode(to_ocsf(event, stamp))
    if len(body) > _BODY_LIMIT_CHARS:
        cut = replace(event, details={"details_cut": len(event.details)})
        body = _encode(to_ocsf(cut, stamp))
    return f'{body[:-2]},"previous_hash":"{previous}"}}}}\n'.encode("ascii")


def hash_of(line: bytes) -> str:
    """Return what the next line holds of this one."""
    return hashlib.sha256(line).hexdigest()


def sequence_of(line: bytes) -> int:
    """Return a line's number; raise `ChainError` if it is no line of a chain."""
    if line.startswith(_SEQUENCE):
        digits = line[len(_SEQUENCE) : len(_SEQUENCE) + 20].partition(b",")[0]
        if digits.isdigit():
            return int(digits)
    raise ChainError("a line is not in the form of an audit log")


def previous_of(line: bytes) -> str:
    """Return the hash that a line holds of the one before; raise `ChainError` if it has none."""
    start = len(line) - len(_END) - _HASH_CHARS
    if not line.endswith(_END) or line[start - len(_HASH_NAME) : start] != _HASH_NAME:
        raise ChainError("a line is not in the form of an audit log")
    return line[start : start + _HASH_CHARS].decode("ascii", errors="replace")


def follow(position: Position, line: bytes) -> Position:
    """Return the position after `line`, which must be the next one; else raise `ChainError`."""
    expected = position.sequence + 1
    begins = b"%b%d," % (_SEQUENCE, expected)
    ends = b"%b%b%b" % (_HASH_NAME, position.hash.encode("ascii"), _END)
    if line.startswith(begins) and line.endswith(ends):
        return Position(expected, hash_of(line))
    raise _what_is_wrong(position, line)


def missing_lines(first: int, last: int) -> str:
    """Say that lines are missing."""
    return f"line {first} is missing" if first == last else f"lines {first} to {last} are missing"


def _what_is_wrong(position: Position, line: bytes) -> ChainError:
    expected = position.sequence + 1
    try:
        number = sequence_of(line)
        previous_of(line)
    except ChainError as error:
        return ChainError(f"line {expected}: {error}")
    if number > expected:
        return ChainError(f"{missing_lines(expected, number - 1)} before line {number}")
    if number < expected:
        return ChainError(f"line {number} comes where line {expected} belongs")
    changed = f"line {position.sequence} was changed" if position.sequence else "it begins anew"
    return ChainError(f"line {number} does not follow the line before: {changed}")
