from datetime import UTC, datetime

import pytest

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.configuration import Configuration, parse_configuration
from hakoiri.credential_proxy.credentials.keyring import Keyring
from hakoiri.credential_proxy.credentials.outgoing_request import OutgoingRequest
from hakoiri.credential_proxy.credentials.refreshed_value import RefreshTasks
from hakoiri.credential_proxy.credentials.source_loader import SourceLoader
from hakoiri.credential_proxy.dns_cache import Answer, CheckedResolver, DnsCache
from hakoiri.credential_proxy.errors import (
    AddressRefusedError,
    ConfigurationError,
    ResolutionError,
)
from hakoiri.credential_proxy.in_force import InForce

FILE = """
[credentials.a]
kind = "header"
header = "x-api-key"
value_env = "KEY"
hosts = ["api.example.com"]
[network]
allow_addresses = ["127.0.0.1:9"]
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def no_lookup(host: str) -> Answer:
    raise ResolutionError(host)


@pytest.mark.anyio
async def test_a_reload_swaps_all_or_nothing() -> None:
    text, environ = FILE, {"KEY": "old"}

    def load(configuration: Configuration) -> Keyring:
        loader = SourceLoader(
            environ=environ,
            now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
            clock_s=lambda: 0.0,
            tasks=RefreshTasks(),
        )
        return Keyring.load(configuration, loader=loader)

    resolver = CheckedResolver(cache=DnsCache(lookup=no_lookup, clock_s=lambda: 0.0))
    in_force = InForce(
        read=lambda: parse_configuration(text), load=load, configure=resolver.configure
    )
    loopback = Authority("127.0.0.1", 9)
    bare = OutgoingRequest("GET", "/", "", ())
    assert (await in_force.keyring.apply("a", bare)).headers == (("x-api-key", "old"),)
    assert await resolver.addresses(loopback) == ("127.0.0.1",)
    before = (in_force.configuration, in_force.keyring)

    environ["KEY"], text = "new\n", FILE.replace('"127.0.0.1:9"', "")
    with pytest.raises(ConfigurationError):
        in_force.reload()
    text = "nonsense"
    with pytest.raises(ConfigurationError):
        in_force.reload()
    assert in_force.configuration is before[0]
    assert in_force.keyring is before[1]
    assert await resolver.addresses(loopback) == ("127.0.0.1",)

    environ["KEY"], text = "new", FILE.replace('"127.0.0.1:9"', "")
    in_force.reload()
    assert (await in_force.keyring.apply("a", bare)).headers == (("x-api-key", "new"),)
    with pytest.raises(AddressRefusedError):
        await resolver.addresses(loopback)
