"""The audit log as it is looked at from outside."""

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel, ConfigDict

from hakoiri.audit.query import AuditQuery
from hakoiri.host.conversations.ports import ConversationsError


class AuditUnavailableError(ConversationsError):
    """The audit log cannot be read now, or none is kept."""


class AuditCursorError(ConversationsError):
    """The end of a page is none that the reader gave for this question."""


class AuditPage(BaseModel):
    """Events in the form of OCSF 1.8.0, the newest first.

    `next` goes into `?before=` for older ones; null at the end. A page may hold fewer events than
    asked for, or none, and still have a `next`: so far was looked.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    events: list[dict[str, Any]]
    next: str | None


FindAudited = Callable[[AuditQuery], Awaitable[AuditPage]]
"""Looks into the audit log. Raises `AuditUnavailableError`, `AuditCursorError`."""
