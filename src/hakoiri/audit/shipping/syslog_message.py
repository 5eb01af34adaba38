"""A line of the audit log as a syslog message, purely.

Source: RFC 5424 (the form), RFC 6587 section 3.4.1 and RFC 5425 section 4.3 (octet counting). The
message's text is the line itself, so that a receiver can check the chain.
"""

import re
from datetime import UTC, datetime
from typing import Final

from hakoiri.audit.chain import ChainError
from hakoiri.audit.heads import SignedHead
from hakoiri.audit.launch import HEADS
from hakoiri.audit.search import parse_line

AUDIT_FACILITY: Final = 13
"""`log audit`."""

SEVERITIES: Final = {1: 6, 2: 5, 3: 4, 4: 3, 5: 2}
"""Of OCSF's severities: informational, notice, warning, error, critical."""

INFORMATIONAL: Final = 6
WARNING: Final = 4
HEAD_SIGNED: Final = "head_signed"
NIL: Final = "-"
_NOT_PRINTABLE: Final = re.compile(r"[^\x21-\x7e]")


def message_of(line: bytes, *, chain: str, host: str, instance: str) -> bytes:
    """Return the message; a line that is not in our form is told as it is, as a warning."""
    severity, at, kind = WARNING, NIL, NIL
    try:
        severity, moment, kind = _of_head(line) if chain == HEADS else _of_event(line)
        at = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ChainError, ValueError, OverflowError, OSError):
        pass
    head = (
        f"<{AUDIT_FACILITY * 8 + severity}>1 {at} {_token(host, 255)} "
        f"{_token(f'hakoiri-{chain}', 48)} {_token(instance, 128)} {kind} {NIL} "
    )
    return head.encode("ascii") + line.rstrip(b"\n")


def _of_event(line: bytes) -> tuple[int, datetime, str]:
    document = parse_line(line)
    severity = SEVERITIES.get(document.get("severity_id", 0), WARNING)
    moment = datetime.fromtimestamp(document["time"] / 1000, UTC)
    return severity, moment, _token(document["unmapped"]["event"], 32)


def _of_head(line: bytes) -> tuple[int, datetime, str]:
    head = SignedHead.model_validate_json(line)
    return INFORMATIONAL, datetime.fromisoformat(head.time).astimezone(UTC), HEAD_SIGNED


def framed(message: bytes) -> bytes:
    """Return the message with its length before it, as a stream needs it."""
    return b"%d %b" % (len(message), message)


def _token(text: str, limit: int) -> str:
    return _NOT_PRINTABLE.sub("_", text)[:limit] or NIL
