"""An audit log in memory, for tests."""

from hakoiri.audit.event import AuditEvent


class MemoryAudit:
    """Keeps what it is told. `failure` may be set."""

    def __init__(self) -> None:
        self.failure: str | None = None
        self.events: list[AuditEvent] = []

    def tell(self, event: AuditEvent) -> None:
        """Keep the event."""
        self.events.append(event)

    def kinds(self) -> list[str]:
        """Return the kinds of what was told, in order."""
        return [event.kind.value for event in self.events]
