from contextlib import AsyncExitStack
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

from hakoiri.credential_proxy.configuration import Configuration, parse_configuration
from hakoiri.credential_proxy.container_socket import ContainerSocket
from hakoiri.credential_proxy.credentials.keyring import Keyring
from hakoiri.credential_proxy.credentials.refreshed_value import RefreshTasks
from hakoiri.credential_proxy.credentials.source_loader import SourceLoader
from hakoiri.credential_proxy.decision_log import DecisionLog
from hakoiri.credential_proxy.dns_cache import Answer, CheckedResolver, DnsCache, Lookup
from hakoiri.credential_proxy.in_force import InForce
from hakoiri.credential_proxy.interception.certificate_authority import CertificateAuthority
from hakoiri.credential_proxy.interception.leaf_cache import LeafCache
from hakoiri.credential_proxy.interception.trust_bundle import TrustBundle
from hakoiri.credential_proxy.listener.handler import Listener
from hakoiri.credential_proxy.metrics.request_metrics import RequestMetrics
from hakoiri.credential_proxy.records import Records
from hakoiri.credential_proxy.socket_registry import SocketRegistry
from hakoiri.credential_proxy.upstream.client import UpstreamClient
from hakoiri.wire.proxy import Bind

PLANTED = "planted-upstream-key"


class Wired:
    """The proxy without its process: its resolver asks the test."""

    def __init__(self, directory: Path, client: UpstreamClient) -> None:
        self.answers: list[list[str]] = []
        self.asked: list[str] = []
        self.ask: Lookup = self.lookup
        self.directory = directory
        self.log = StringIO()
        self.metrics = RequestMetrics()
        self.client = client
        self.authority = CertificateAuthority.load(directory, now=datetime.now(UTC))
        self.registry: SocketRegistry

    async def lookup(self, host: str) -> Answer:
        self.asked.append(host)
        return Answer(tuple(self.answers[min(len(self.asked), len(self.answers)) - 1]), 30)

    async def open(self, *hosts: str, port: int, **policy: object) -> Path:
        directory = await self.registry.open("c1")
        rules = [{"host": host, "ports": [port]} for host in hosts]
        fields = {"workspace": "w", "tenant": "t", "generation": 1}
        bind = Bind.model_validate({**fields, "policy": {"rules": rules, **policy}})
        self.registry.bind("c1", bind)
        return directory / "proxy.sock"


def wire(stack: AsyncExitStack, directory: Path, text: str, now_s: list[float]) -> Wired:
    wired: Wired

    async def lookup(host: str) -> Answer:
        return await wired.ask(host)

    def load(configuration: Configuration) -> Keyring:
        loader = SourceLoader(
            environ={"KEY": PLANTED},
            now=lambda: datetime.now(UTC),
            clock_s=lambda: 0.0,
            tasks=RefreshTasks(),
        )
        return Keyring.load(configuration, loader=loader)

    resolver = CheckedResolver(cache=DnsCache(lookup=lookup, clock_s=lambda: now_s[0]))
    wired = Wired(directory, UpstreamClient(resolver=resolver))
    in_force = InForce(
        read=lambda: parse_configuration(text), load=load, configure=wired.client.configure
    )
    records = Records(log=DecisionLog(wired.log), metrics=wired.metrics)

    def new_listener(container_socket: ContainerSocket) -> Listener:
        return Listener(
            container_socket=container_socket,
            in_force=in_force,
            client=wired.client,
            leaves=LeafCache(authority=wired.authority),
            records=records,
        )

    wired.registry = SocketRegistry(
        directory=directory,
        in_force=in_force,
        bundle=TrustBundle(
            directory=directory, name="ca.pem", certificate_pem=wired.authority.certificate_pem
        ),
        new_listener=new_listener,
    )
    stack.callback(wired.client.close)
    stack.push_async_callback(wired.registry.close)
    return wired
