"""The server's own audit log, and what tells it of things that happen elsewhere in the server."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Final, Protocol

from pydantic import JsonValue

from hakoiri.audit.event import AuditEvent, Detail, EventKind
from hakoiri.audit.writer import AuditLog, ChainWriter, NoAuditLog
from hakoiri.wire.events import ConversationEvent

CHAIN: Final = "server"

_KEPT: Final = {
    "turn_started": (EventKind.TURN_STARTED, ("generation", "start")),
    "result": (EventKind.TURN_ENDED, ()),
    "error": (EventKind.TURN_ENDED, ("code",)),
    "container_recovered": (
        EventKind.CONTAINER_RECOVERED,
        ("generation", "reason", "restored_seq", "lost_paths"),
    ),
}
"""Which events are audited, as what, and which of their data; never a text that somebody wrote.

What was saved is told by `file_audit`, which knows of saves outside of turns as well.
"""

NEARLY_FULL: Final = "workspace-nearly-full"
"""The notice that a disk is close to its quota."""


def audit_log(
    directory: Path | None, *, chain: str = CHAIN, goes_on: bool = False
) -> AbstractContextManager[AuditLog]:
    """Return the chain, to be entered; one that forgets where there is no directory.

    If it `goes_on`, nothing is held back that cannot be recorded. Entering raises `AuditError`.
    """
    if directory is None:
        return nullcontext(NoAuditLog())
    return ChainWriter(directory, chain=chain, version=version("hakoiri"), goes_on=goes_on)


class Owner(Protocol):
    """Whose a conversation is."""

    @property
    def tenant(self) -> str:
        """The tenant."""

    @property
    def workspace(self) -> str | None:
        """The workspace, if it has one."""


class EventAudit:
    """Tells the audit log of what the events of conversations say, but not of what was said."""

    def __init__(
        self, audit: AuditLog, *, owner_of: Callable[[str], Owner | None] = lambda _: None
    ) -> None:
        """`owner_of` gives whose a conversation is, as far as that is known."""
        self._audit = audit
        self._owner_of = owner_of

    def recorded(self, events: Sequence[ConversationEvent]) -> None:
        """Tell of events that were committed."""
        for event in events:
            if (audited := audit_event(event)) is not None:
                if owner := self._owner_of(event.conversation_id):
                    audited = replace(audited, tenant=owner.tenant, workspace=owner.workspace)
                self._audit.tell(audited)


def audit_event(event: ConversationEvent) -> AuditEvent | None:
    """Return what the audit log is told of an event; None for what only the conversation needs."""
    if event.type == "notice" and event.data.get("code") == NEARLY_FULL:
        return AuditEvent(
            kind=EventKind.QUOTA_HIT,
            succeeded=False,
            conversation=event.conversation_id,
            details={"turn": event.turn, "kind": "disk"},
        )
    found = _KEPT.get(event.type)
    if found is None:
        return None
    kind, names = found
    container = event.data.get("container")
    details: dict[str, Detail] = {"turn": event.turn}
    if kind is EventKind.TURN_ENDED:
        details["ended"] = event.type
    for name in names:
        details[name] = _plain(event.data.get(name))
    return AuditEvent(
        kind=kind,
        succeeded=event.type != "error",
        conversation=event.conversation_id,
        container=container if isinstance(container, str) else None,
        details=details,
    )


def _plain(value: JsonValue) -> Detail:
    """Return a text or number as it is; of a list, which may hold a container's words, how long."""
    if isinstance(value, list | dict):
        return len(value)
    return value
