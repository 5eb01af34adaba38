"""Which lines somebody looks for, purely."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hakoiri.audit.chain import ChainError

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Line = Mapping[str, Any]


class BadTimeError(ValueError):
    """The text names no time."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a line must have; what is None or empty does not matter. Times are milliseconds."""

    events: frozenset[str] = frozenset()
    tenant: str | None = None
    workspace: str | None = None
    container: str | None = None
    conversation: str | None = None
    text: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    failed_only: bool = False
    _FAILED: int = field(default=2, init=False, repr=False)

    def fits(self, line: Line, raw: bytes) -> bool:
        """Whether a line, as parsed and as written, is wanted."""
        told = line["unmapped"]
        time_ms = line["time"]
        return (
            (not self.events or told["event"] in self.events)
            and (self.tenant is None or line["metadata"].get("tenant_uid") == self.tenant)
            and (self.workspace is None or told.get("workspace") == self.workspace)
            and (self.container is None or told.get("container") == self.container)
            and (self.conversation is None or told.get("conversation") == self.conversation)
            and (self.since_ms is None or time_ms >= self.since_ms)
            and (self.until_ms is None or time_ms <= self.until_ms)
            and (not self.failed_only or line["status_id"] == self._FAILED)
            and (self.text is None or self.text.encode() in raw)
        )


def parse_line(raw: bytes) -> dict[str, Any]:
    """Return a line's document; raise `ChainError` if it has not our form."""
    try:
        document = json.loads(raw)
        if isinstance(document["unmapped"]["event"], str) and isinstance(document["time"], int):
            return dict(document)
    except (ValueError, KeyError, TypeError):
        pass
    raise ChainError("a line is not in the form of an audit log")


def parse_time(text: str, *, now: datetime) -> int:
    """Return milliseconds since 1970 of `2026-11-26T12:00`, or of `90s`, `15m`, `2h`, `7d` ago.

    Without a zone it is UTC. Raises `BadTimeError`.
    """
    unit = _UNITS.get(text[-1:])
    try:
        if unit is not None and text[:-1].isascii() and text[:-1].isdigit():
            at = now - timedelta(**{unit: int(text[:-1])})
        else:
            at = datetime.fromisoformat(text)
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return int(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise BadTimeError(
            f"{text!r} is no time: write 2026-11-26T12:00, or 90s, 15m, 2h, 7d for so long ago"
        ) from None


def one_line(line: Line) -> str:
    """Return a line for people: time, chain and number, event, whose, what; not yet made plain."""
    metadata, told = line["metadata"], line["unmapped"]
    at = datetime.fromtimestamp(line["time"] / 1000, UTC)
    where = ""
    if "http_request" in line:
        endpoint = line.get("dst_endpoint", {})
        path = line["http_request"].get("url", {}).get("path", "")
        where = (
            f" {line['http_request']['http_method']} {endpoint.get('hostname', '?')}"
            f":{endpoint.get('port', '?')}{path} {line['http_response']['code']}"
        )
    said = " ".join(
        f"{name}={value}"
        for name, value in told.items()
        if name not in {"event", "previous_hash"} and value not in (None, [])
    )
    tenant = f" tenant={metadata['tenant_uid']}" if "tenant_uid" in metadata else ""
    return (
        f"{at:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + f"Z {metadata.get('log_name', '?')}"
        f"#{metadata['sequence']} {told['event']}{tenant}{where} {said}"
    ).rstrip()
