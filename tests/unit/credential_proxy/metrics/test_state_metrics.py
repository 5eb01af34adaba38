import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from hakoiri.audit.testing import MemoryAudit
from hakoiri.credential_proxy.binding import Binding
from hakoiri.credential_proxy.configuration import Configuration, parse_configuration
from hakoiri.credential_proxy.container_socket import ContainerSocket
from hakoiri.credential_proxy.credentials.keyring import Keyring
from hakoiri.credential_proxy.credentials.refreshed_value import RefreshTasks
from hakoiri.credential_proxy.credentials.source_loader import SourceLoader
from hakoiri.credential_proxy.dns_cache import Answer, CacheFigures, CheckedResolver, DnsCache
from hakoiri.credential_proxy.framing import RequestHead
from hakoiri.credential_proxy.in_force import InForce
from hakoiri.credential_proxy.interception.certificate_authority import CertificateAuthority
from hakoiri.credential_proxy.interception.leaf_cache import LeafCache
from hakoiri.credential_proxy.metrics.state_metrics import StateMetrics
from hakoiri.credential_proxy.upstream.client import UpstreamClient
from hakoiri.wire.policy import Policy
from hakoiri.wire.proxy import Bind

pytestmark = pytest.mark.anyio
FILE = """
[credentials.there]
kind = "bearer"
value_env = "THERE"
hosts = ["a.example.test"]
[credentials.missing]
kind = "bearer"
value_env = "MISSING"
hosts = ["b.example.test"]
"""
HEAD = RequestHead(method="GET", target="/", version=(1, 1), headers=())
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def lookup(host: str) -> Answer:
    return Answer(("8.8.8.8",), 60)


class Parts:
    """What the figures are read from."""

    def __init__(self, directory: Path) -> None:
        self.tasks = RefreshTasks()
        self.audit = MemoryAudit()
        self.dns_cache = DnsCache(lookup=lookup, clock_s=lambda: 0.0)
        self.client = UpstreamClient(resolver=CheckedResolver(cache=self.dns_cache))
        self.leaves = LeafCache(authority=CertificateAuthority.load(directory, now=NOW))
        self.sockets = [ContainerSocket("a"), ContainerSocket("b"), ContainerSocket("c")]
        self.in_force = InForce(
            read=lambda: parse_configuration(FILE),
            load=self._load,
            configure=self.client.configure,
        )
        self.registry = CollectorRegistry()
        self.registry.register(
            StateMetrics(
                sockets=lambda: self.sockets,
                client=self.client,
                dns_cache=self.dns_cache,
                leaves=self.leaves,
                in_force=self.in_force,
                tasks=self.tasks,
                audit=self.audit,
            )
        )

    def _load(self, configuration: Configuration) -> Keyring:
        loader = SourceLoader(
            environ={"THERE": "planted"}, now=lambda: NOW, clock_s=lambda: 0.0, tasks=self.tasks
        )
        return Keyring.load(configuration, loader=loader)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"hakoiri_proxy_{name}", labels)


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path)


async def test_sockets_and_what_runs_on_them(parts: Parts) -> None:
    bind = Bind(workspace="w", tenant="t", generation=1, policy=Policy())
    parts.sockets[0].bind(Binding.of(bind))
    with parts.sockets[0].slot(HEAD, "model"):
        assert parts.value("requests_open") == 1
        assert parts.value("tunnels_open") == 0
    with parts.sockets[1].slot(HEAD, "tunnel"):
        assert parts.value("requests_open") == 0
        assert parts.value("tunnels_open") == 1
    assert parts.value("sockets", state="bound") == 1
    assert parts.value("sockets", state="unbound") == 2


async def test_names_and_what_is_kept_of_them(parts: Parts) -> None:
    await parts.dns_cache.resolve("a.test")
    await parts.dns_cache.resolve("a.test")
    assert parts.value("dns_questions_total", result="hit") == 1
    assert parts.value("dns_questions_total", result="miss") == 1
    assert parts.value("dns_cache_entries") == 1
    parts.dns_cache.figures = CacheFigures(
        hits=1, negative_hits=2, shared=3, misses=12, found=1, missing=4, failures=5
    )
    told = {
        result: parts.value("dns_questions_total", result=result)
        for result in ("hit", "negative_hit", "shared", "miss")
    }
    assert told == {"hit": 1, "negative_hit": 2, "shared": 3, "miss": 12}
    told = {
        result: parts.value("dns_answers_total", result=result)
        for result in ("addresses", "none", "failed")
    }
    assert told == {"addresses": 1, "none": 4, "failed": 5}


async def test_certificates_and_connections(parts: Parts) -> None:
    assert isinstance(parts.leaves.context_for("a.test"), ssl.SSLContext)
    parts.leaves.context_for("a.test")
    assert parts.value("leaf_certificates_made_total") == 1
    assert parts.value("leaf_cache_hits_total") == 1
    assert parts.value("leaf_cache_entries") == 1
    assert parts.value("upstream_connections", state="busy") == 0
    assert parts.value("upstream_connections", state="idle") == 0
    for name in ("opened", "reused", "evicted"):
        assert parts.value(f"upstream_connections_{name}_total") == 0


async def test_credentials_that_fail_are_named_as_in_the_proxys_file(parts: Parts) -> None:
    parts.tasks.failures["credentials.there.value_command"] += 2
    name = "credential_refresh_failures_total"
    assert parts.value(name, source="credentials.there.value_command") == 2
    assert parts.value("credential_faulty", credential="there") == 0
    assert parts.value("credential_faulty", credential="missing") == 1


async def test_an_audit_log_that_cannot_be_written_is_told(parts: Parts) -> None:
    assert parts.value("audit_faulty") == 0
    parts.audit.failure = "the disk is full"
    assert parts.value("audit_faulty") == 1
