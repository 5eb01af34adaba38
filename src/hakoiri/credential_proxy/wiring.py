"""What every way of running the proxy shares: credentials, client, certificates, listeners."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from prometheus_client import CollectorRegistry

from hakoiri.audit.writer import AuditLog
from hakoiri.credential_proxy.addresses import AddressAndPort
from hakoiri.credential_proxy.budgets.bookkeeping import Bookkeeping
from hakoiri.credential_proxy.budgets.store import FILE_NAME
from hakoiri.credential_proxy.configuration import Configuration, Network
from hakoiri.credential_proxy.container_socket import ContainerSocket
from hakoiri.credential_proxy.credentials.keyring import Keyring
from hakoiri.credential_proxy.credentials.refreshed_value import RefreshTasks
from hakoiri.credential_proxy.credentials.source_loader import SourceLoader
from hakoiri.credential_proxy.decision_log import DecisionLog
from hakoiri.credential_proxy.dns_cache import CheckedResolver, DnsCache
from hakoiri.credential_proxy.dns_client import DnsClient
from hakoiri.credential_proxy.hosts_file import HostsFile
from hakoiri.credential_proxy.in_force import InForce
from hakoiri.credential_proxy.interception.certificate_authority import CertificateAuthority
from hakoiri.credential_proxy.interception.leaf_cache import LeafCache
from hakoiri.credential_proxy.listener.handler import Listener
from hakoiri.credential_proxy.metrics.budget_metrics import BudgetMetrics
from hakoiri.credential_proxy.metrics.exposition import registry_of
from hakoiri.credential_proxy.metrics.request_metrics import RequestMetrics
from hakoiri.credential_proxy.metrics.state_metrics import StateMetrics
from hakoiri.credential_proxy.records import Records
from hakoiri.credential_proxy.request_spans import RequestSpans
from hakoiri.credential_proxy.upstream.client import UpstreamClient
from hakoiri.tracing.exporting import Tracing
from hakoiri.tracing.trace_metrics import TraceMetrics
from hakoiri.wire.proxy import METRICS_PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """The parts, put together; `close` ends what they keep."""

    in_force: InForce
    client: UpstreamClient
    authority: CertificateAuthority
    leaves: LeafCache
    log: DecisionLog
    audit: AuditLog
    tasks: RefreshTasks
    books: Bookkeeping
    dns_cache: DnsCache
    request_metrics: RequestMetrics
    tracing: Tracing | None = None

    @classmethod
    def of(
        cls,
        *,
        read: Callable[[], Configuration],
        environ: Mapping[str, str],
        state_dir: Path,
        log: DecisionLog,
        audit: AuditLog,
        ledger_name: str = FILE_NAME,
        tracing: Tracing | None = None,
    ) -> Self:
        """Put the parts together inside a running loop; `read` reads the proxy's own file.

        Raises:
            ConfigurationError: the file, a secret it names, the authority or the ledger cannot be
                used.
        """
        loop = asyncio.get_running_loop()
        clock_s = loop.time
        dns_client = DnsClient(hosts=HostsFile())
        dns_cache = DnsCache(lookup=dns_client.look_up, clock_s=clock_s)
        client = UpstreamClient(resolver=CheckedResolver(cache=dns_cache))

        def configure(network: Network, endpoints: frozenset[AddressAndPort]) -> None:
            client.configure(network, endpoints)  # first: it may refuse
            dns_client.configure(network.parsed_nameservers)

        tasks = RefreshTasks()
        loader = SourceLoader(
            environ=environ, now=lambda: datetime.now(UTC), clock_s=clock_s, tasks=tasks
        )
        in_force = InForce(
            read=read,
            load=lambda configuration: Keyring.load(configuration, loader=loader),
            configure=configure,
        )
        authority = CertificateAuthority.load(state_dir, now=datetime.now(UTC))
        leaves = LeafCache(authority=authority)
        log.write_soon(loop.call_soon)
        books = Bookkeeping.open(state_dir, file_name=ledger_name)
        books.start()
        return cls(
            in_force=in_force,
            client=client,
            authority=authority,
            leaves=leaves,
            log=log,
            audit=audit,
            tasks=tasks,
            books=books,
            dns_cache=dns_cache,
            request_metrics=RequestMetrics(),
            tracing=tracing,
        )

    def new_listener(self, container_socket: ContainerSocket) -> Listener:
        """Make the listener of one container's socket."""
        return Listener(
            container_socket=container_socket,
            in_force=self.in_force,
            client=self.client,
            leaves=self.leaves,
            records=Records(
                log=self.log,
                metrics=self.request_metrics,
                audit=self.audit,
                spans=self._spans(),
            ),
            gate=self.books.gate,
        )

    def _spans(self) -> RequestSpans | None:
        if self.tracing is None:
            return None
        return RequestSpans(self.tracing.tracer, held_back=self.tracing.tally.hold_back)

    def metrics(self, sockets: Callable[[], Iterable[ContainerSocket]]) -> CollectorRegistry:
        """Make the registry of all figures; `sockets` gives those that are open."""
        state = StateMetrics(
            sockets=sockets,
            client=self.client,
            dns_cache=self.dns_cache,
            leaves=self.leaves,
            in_force=self.in_force,
            tasks=self.tasks,
        )
        budgets = BudgetMetrics(lambda: self.books.report(self.in_force.configuration.terms))
        traces = []
        if self.tracing is not None:
            traces = [TraceMetrics(self.tracing.tally, prefix=METRICS_PREFIX)]
        return registry_of([self.request_metrics, state, budgets, *traces])

    async def close(self) -> None:
        """Close kept connections, end what refreshes credentials, and write what is left."""
        self.client.close()
        await self.tasks.close()
        await self.books.close()
        self.log.flush()
