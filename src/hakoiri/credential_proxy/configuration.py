"""The proxy's own file: credentials and where each may go, the network, budgets and prices.

Only this file defines a credential. A policy can name one and narrow it (see `binding`).
"""

import re
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Final, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from hakoiri.credential_proxy.addresses import AddressAndPort, parse_address, why_not_public
from hakoiri.credential_proxy.authority import Authority, is_dotted_quad
from hakoiri.credential_proxy.budgets.prices import ModelPattern, Price, PriceList
from hakoiri.credential_proxy.budgets.settings import BudgetSettings, Terms
from hakoiri.credential_proxy.credential_definitions import (
    Credential,
    Endpoint,
    HostName,
    canonical_host,
)
from hakoiri.credential_proxy.errors import AddressRefusedError, ConfigurationError
from hakoiri.credential_proxy.trusted_file import read_trusted_file
from hakoiri.wire.messages import Identifier, Message, ShortText

_ADDRESS_AND_PORT: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9.]+):([1-9][0-9]{0,4})")
_PORT_MAX: Final = 65535


class Network(Message):
    """How the outside is reached.

    Exceptions from the private-address refusal, names that are not asked of DNS, and certificates
    that are trusted beside the host's own. `nameservers` are asked in place of those of
    resolv.conf. Answers of DNS are kept for their own time within the bounds (in seconds).
    """

    allow_addresses: list[ShortText] = Field(default=[], max_length=256)
    hosts: dict[HostName, ShortText] = Field(default={}, max_length=256)
    ca_file: Path | None = None
    nameservers: list[ShortText] = Field(default=[], max_length=8)
    dns_ttl_min_s: int = Field(default=5, ge=0, le=3600)
    dns_ttl_max_s: int = Field(default=300, ge=0, le=86400)
    dns_negative_ttl_max_s: int = Field(default=60, ge=0, le=3600)

    @field_validator("allow_addresses", "nameservers")
    @classmethod
    def _addresses_are_exact(cls, value: list[str]) -> list[str]:
        for text in value:
            _parse_address_and_port(text)
        return value

    @model_validator(mode="after")
    def _bounds_leave_room(self) -> Self:
        for field in ("dns_ttl_max_s", "dns_negative_ttl_max_s"):
            if getattr(self, field) < self.dns_ttl_min_s:
                raise ValueError(f"{field}: must not be less than dns_ttl_min_s")
        return self

    @field_validator("hosts")
    @classmethod
    def _names_are_plain(cls, value: dict[str, str]) -> dict[str, str]:
        for host, address in value.items():
            canonical_host(host)
            _canonical_address(address)
        return value

    @cached_property
    def allowed_addresses(self) -> frozenset[AddressAndPort]:
        """The exact addresses and ports that may be dialled although they are not public."""
        return frozenset(_parse_address_and_port(text) for text in self.allow_addresses)

    @cached_property
    def parsed_nameservers(self) -> tuple[AddressAndPort, ...]:
        """The name servers' exact addresses and ports."""
        return tuple(_parse_address_and_port(text) for text in self.nameservers)


def _canonical_address(text: str) -> str:
    try:
        return str(parse_address(text))
    except AddressRefusedError as error:
        raise ValueError(f"{text!r} is not an address") from error


def _parse_address_and_port(text: str) -> AddressAndPort:
    match = _ADDRESS_AND_PORT.fullmatch(text)
    if match is None or int(match[2]) > _PORT_MAX:
        raise ValueError(f'{text!r} must be one address and port, like "127.0.0.1:9999"')
    return _canonical_address(match[1].strip("[]")), int(match[2])


class Configuration(Message):
    """The whole file; an empty one is valid and lets nothing out with a credential."""

    credentials: dict[Identifier, Credential] = Field(default={}, max_length=100)
    network: Network = Network()
    budgets: BudgetSettings = BudgetSettings()
    prices: dict[ModelPattern, Price] = Field(default={}, max_length=1000)

    @model_validator(mode="after")
    def _endpoints_can_be_dialled(self) -> Self:
        for name, credential in self.credentials.items():
            endpoint = credential.parsed_endpoint
            if endpoint is not None:
                _check_endpoint(f"credentials.{name}.endpoint", endpoint, self.network)
        return self

    def credential_of(self, tenant: str, name: str) -> Credential | None:
        """Return the credential `name` if there is one, and it is for `tenant`."""
        credential = self.credentials.get(name)
        return credential if credential is not None and credential.is_tenants(tenant) else None

    @cached_property
    def terms(self) -> Terms:
        """What may be used, and what it costs."""
        return Terms(self.budgets, PriceList.of(self.prices))

    @cached_property
    def injected_hosts(self) -> frozenset[str]:
        """Every host by name towards which some credential is put on requests."""
        hosts = {host for c in self.credentials.values() for host in c.hosts_reached}
        return frozenset(hosts | {e.host for e in self._endpoints if not is_dotted_quad(e.host)})

    @cached_property
    def _injected_suffixes(self) -> tuple[str, ...]:
        return tuple({s for c in self.credentials.values() for s in c.suffixes_reached})

    @cached_property
    def endpoint_addresses(self) -> frozenset[AddressAndPort]:
        """Where credentials' requests go, as far as this file fixes the address."""
        fixed = self.network.hosts
        return frozenset(
            (_canonical_address(fixed.get(endpoint.host, endpoint.host)), endpoint.port)
            for endpoint in self._endpoints
            if endpoint.host in fixed or is_dotted_quad(endpoint.host)
        )

    @cached_property
    def _endpoints(self) -> tuple[Endpoint, ...]:
        endpoints = (credential.parsed_endpoint for credential in self.credentials.values())
        return tuple(endpoint for endpoint in endpoints if endpoint is not None)

    def is_injected_towards(self, authority: Authority) -> bool:
        """Whether some credential is put on requests to `authority`.

        A named host counts on every port, an address only on the endpoint's own.
        """
        if authority.host in self.injected_hosts:
            return True
        return authority.host.endswith(self._injected_suffixes) or any(
            authority == Authority(endpoint.host, endpoint.port) for endpoint in self._endpoints
        )


def _check_endpoint(field: str, endpoint: Endpoint, network: Network) -> None:
    host, port = endpoint.host, endpoint.port
    fixed = host if is_dotted_quad(host) else network.hosts.get(host)
    if endpoint.scheme == "http" and fixed is None:
        raise ValueError(
            f"{field}: http is only for an address that this file fixes;"
            f" use https, or give {host!r} an address in [network.hosts]"
        )
    if fixed is None:
        return
    address = _canonical_address(fixed)
    is_excepted = (address, port) in network.allowed_addresses
    if why_not_public(parse_address(address)) is not None and not is_excepted:
        raise ValueError(f'{field}: add "{address}:{port}" to network.allow_addresses')


def parse_configuration(text: str) -> Configuration:
    """Parse the file's text.

    Raises:
        ConfigurationError: one line for each field that is wrong, with the mend.
    """
    try:
        return Configuration.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"the proxy's file is not TOML: {error}") from error
    except ValidationError as error:
        lines = (
            f"{'.'.join(str(part) for part in e['loc']) or 'file'}: {e['msg']}"
            for e in error.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError("the proxy's file: " + "; ".join(lines)) from error


def read_configuration(path: Path) -> Configuration:
    """Read and parse the proxy's own file.

    Raises:
        ConfigurationError: it cannot be read, is a link, belongs to somebody else than root or us,
            can be written by group or others, or its content is wrong.
    """
    return parse_configuration(read_trusted_file(path))
