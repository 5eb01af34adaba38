"""What every way of running the proxy shares: credentials, client, certificates, listeners."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

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

    @classmethod
    def of(
        cls,
        *,
        read: Callable[[], Configuration],
        environ: Mapping[str, str],
        state_dir: Path,
        log: DecisionLog,
    ) -> Self:
        """Put the parts together inside a running loop; `read` reads the proxy's own file.

        Raises:
            ConfigurationError: the file, a secret it names, or the authority cannot be used.
        """
        loop = asyncio.get_running_loop()
        clock_s = loop.time
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
        log.write_soon(loop.call_soon)
        return cls(
            in_force=in_force,
            client=client,
            authority=authority,
            leaves=leaves,
            log=log,
            tasks=tasks,
        )

    def new_listener(self, container_socket: ContainerSocket) -> Listener:
        """Make the listener of one container's socket."""
        return Listener(
            container_socket=container_socket,
            in_force=self.in_force,
            client=self.client,
            leaves=self.leaves,
            log=self.log,
        )

    async def close(self) -> None:
        """Close kept connections, end what refreshes credentials, and write what is left."""
        self.client.close()
        await self.tasks.close()
        self.log.flush()
