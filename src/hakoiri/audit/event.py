"""What can happen, purely: a closed list of events, and the bounds of what one may say.

An event names who, where and what, never a secret, a header's value or a message's text. What comes
from a container or a client is cut to a bound.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeAlias

TEXT_LIMIT_CHARS: Final = 256
LIST_LIMIT: Final = 32
DETAILS_LIMIT: Final = 32

Detail: TypeAlias = str | int | float | bool | Sequence[str] | None


class EventKind(StrEnum):
    """Each kind of event there is."""

    CONTAINER_CREATED = "container_created"
    CONTAINER_REMOVED = "container_removed"
    CONTAINER_RECOVERED = "container_recovered"
    IMAGE_REMOVED = "image_removed"
    TURN_STARTED = "turn_started"
    TURN_ENDED = "turn_ended"
    FILES_SYNCED = "files_synced"
    FILES_RESTORED = "files_restored"
    COMMAND_STARTED = "command_started"
    FILE_CHANGED = "file_changed"
    WORKSPACE_KILLED = "workspace_killed"
    STORE_COLLECTED = "store_collected"
    WORKSPACE_FORKED = "workspace_forked"
    POLICY_CHANGED = "policy_changed"
    POOL_CHANGED = "pool_changed"
    KEY_CREATED = "key_created"
    KEY_REVOKED = "key_revoked"
    LOGIN_FAILED = "login_failed"
    SECCOMP_VIOLATION = "seccomp_violation"
    BOX_PROBED = "box_probed"
    """A box was tried from inside; it did not succeed where something was open."""

    PROXY_REQUEST_ALLOWED = "proxy_request_allowed"
    """Names the credential that was put on the request, if one was: its use."""

    PROXY_REQUEST_BLOCKED = "proxy_request_blocked"
    QUOTA_HIT = "quota_hit"
    SECRET_SCRUBBED = "secret_scrubbed"  # noqa: S105 - the name of an event
    ENGINE_CALL_REFUSED = "engine_call_refused"
    AUDIT_LOG_OPENED = "audit_log_opened"
    AUDIT_LOG_CLOSED = "audit_log_closed"
    AUDIT_LOG_REPAIRED = "audit_log_repaired"
    """The end of the log was torn by a crash and was cut off."""

    AUDIT_LINES_LOST = "audit_lines_lost"
    """So many events could not be kept, because the log could not be written for too long."""


@dataclass(frozen=True, slots=True)
class HttpFacts:
    """One request as the proxy saw it. `status` is that of the answer, 0 if there was none."""

    method: str | None
    host: str | None
    port: int | None
    path: str | None
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One event. `actor` is who caused it, where that is known: a key's id, a tenant, a process."""

    kind: EventKind
    succeeded: bool = True
    tenant: str | None = None
    workspace: str | None = None
    container: str | None = None
    conversation: str | None = None
    actor: str | None = None
    http: HttpFacts | None = None
    details: Mapping[str, Detail] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who wrote an event, as which of its chain, and when."""

    chain: str
    version: str
    sequence: int
    at: datetime


def clip(value: Detail) -> Detail:
    """Return a detail within the bounds."""
    if isinstance(value, str):
        return value if len(value) <= TEXT_LIMIT_CHARS else value[: TEXT_LIMIT_CHARS - 1] + "…"
    if isinstance(value, (int, float)) or value is None:
        return value
    return [str(clip(str(one))) for one in value[:LIST_LIMIT]]
