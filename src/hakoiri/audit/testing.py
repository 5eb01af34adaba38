"""An audit log in memory, for tests."""

from hakoiri.audit.event import AuditEvent


class MemoryAudit:
    """Keeps what it is told. `failure` may be set; it hinders, unless it `goes_on`."""

    def __init__(self, *, goes_on: bool = False) -> None:
        self.failure: str | None = None
        self._goes_on = goes_on
        self.events: list[AuditEvent] = []

    @property
    def hindrance(self) -> str | None:
        """Why nothing may begin."""
        return None if self._goes_on else self.failure

    def tell(self, event: AuditEvent) -> None:
        """Keep the event."""
        self.events.append(event)

    def kinds(self) -> list[str]:
        """Return the kinds of what was told, in order."""
        return [event.kind.value for event in self.events]
