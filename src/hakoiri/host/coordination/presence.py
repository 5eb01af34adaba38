"""A server's sign of life: a lease in its name, which it holds for as long as it runs."""

import structlog

from hakoiri.host.coordination.ports import CoordinationError, Lease, Leases

log = structlog.get_logger(__name__)


def presence_name(mark: str) -> str:
    """Return the lease that the server with this mark holds while it lives."""
    return f"server:{mark}"


class Presence:
    """Holds this server's own lease; the adapter renews it."""

    def __init__(self, leases: Leases, *, mark: str) -> None:
        """`mark` is what the ids of this server's containers begin with."""
        self._leases = leases
        self._name = presence_name(mark)
        self._lease: Lease | None = None

    async def show(self) -> bool:
        """Take the lease if it is not held; whether it is now.

        It is not while another server takes this one's workspaces over, or nobody can be asked.
        """
        if self._lease is not None and self._lease.is_held:
            return True
        try:
            if self._lease is not None:
                await self._lease.release()
            self._lease = await self._leases.acquire(self._name)
        except CoordinationError as error:
            self._lease = None
            log.info("presence_not_shown", reason=str(error))
        return self._lease is not None
