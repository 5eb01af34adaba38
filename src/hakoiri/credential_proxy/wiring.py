"""What every way of running the proxy shares: credentials, client, certificates, listeners."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from hakoiri.credential_proxy.budgets.bookkeeping import Bookkeeping
from hakoiri.credential_proxy.budgets.store import FILE_NAME
from hakoiri.credential_proxy.configuration import Configuration
from hakoiri.credential_proxy.container_socket import ContainerSocket
from hakoiri.credential_proxy.credentials.keyring import Keyring
from hakoiri.credential_proxy.credentials.refreshed_value import RefreshTasks
from hakoiri.credential_proxy.credentials.source_loader import SourceLoader
from hakoiri.credential_proxy.decision_log import DecisionLog
from hakoiri.credential_proxy.dns_cache import CheckedResolver, DnsCache, look_up
from hakoiri.credential_proxy.in_force import InForce
from hakoiri.credential_proxy.interception.certificate_authority import CertificateAuthority
from hakoiri.credential_proxy.interception.leaf_cache import LeafCache
from hakoiri.credential_proxy.listener.handler import Listener
from hakoiri.credential_proxy.upstream.client import UpstreamClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """The parts, put together; `close` ends what they keep."""

    in_force: InForce
    client: UpstreamClient
    authority: CertificateAuthority
    leaves: LeafCache
    log: DecisionLog
    tasks: RefreshTasks
    books: Bookkeeping

    @classmethod
    def of(
        cls,
        *,
        read: Callable[[], Configuration],
        environ: Mapping[str, str],
        state_dir: Path,
        log: DecisionLog,
        ledger_name: str = FILE_NAME,
    ) -> Self:
        """Put the parts together inside a running loop; `read` reads the proxy's own file.

        Raises:
            ConfigurationError: the file, a secret it names, the authority or the ledger cannot be
                used.
        """
        clock_s = asyncio.get_running_loop().time
        client = UpstreamClient(
            resolver=CheckedResolver(cache=DnsCache(lookup=look_up, clock_s=clock_s))
        )
        tasks = RefreshTasks()
        loader = SourceLoader(
            environ=environ, now=lambda: datetime.now(UTC), clock_s=clock_s, tasks=tasks
        )
        in_force = InForce(
            read=read,
            load=lambda configuration: Keyring.load(configuration, loader=loader),
            configure=client.configure,
        )
        authority = CertificateAuthority.load(state_dir, now=datetime.now(UTC))
        leaves = LeafCache(authority=authority)
        books = Bookkeeping.open(state_dir, file_name=ledger_name)
        books.start()
        return cls(
            in_force=in_force,
            client=client,
            authority=authority,
            leaves=leaves,
            log=log,
            tasks=tasks,
            books=books,
        )

    def new_listener(self, container_socket: ContainerSocket) -> Listener:
        """Make the listener of one container's socket."""
        return Listener(
            container_socket=container_socket,
            in_force=self.in_force,
            client=self.client,
            leaves=self.leaves,
            log=self.log,
            gate=self.books.gate,
        )

    async def close(self) -> None:
        """Close kept connections, end what refreshes credentials, and write the ledger's rest."""
        self.client.close()
        await self.tasks.close()
        await self.books.close()
