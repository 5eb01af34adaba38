"""The proxy's own file: the credentials, where each may go, and what the network excepts.

Only this file defines a credential. A policy can name one and narrow it (see `binding`).
"""

import os
import re
import stat
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator

from hakoiri.credential_proxy.addresses import AddressAndPort, parse_address, why_not_public
from hakoiri.credential_proxy.authority import (
    Authority,
    AuthorityError,
    is_dotted_quad,
    parse_authority,
)
from hakoiri.credential_proxy.errors import AddressRefusedError, ConfigurationError
from hakoiri.wire.messages import Identifier, Message, ShortText

FILE_LIMIT_BYTES: Final = 1024 * 1024
AWS_SERVICE_PREFIXES: Final = {"bedrock": ("bedrock-runtime", "bedrock")}
"""Signing name to the host prefixes it is used for (AWS General Reference, Bedrock endpoints)."""

_HEADER_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}")
_FORBIDDEN_HEADERS: Final = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade"}
)
_ADDRESS_AND_PORT: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9.]+):([1-9][0-9]{0,4})")
_PORT_MAX: Final = 65535

Region = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
HostName = Annotated[str, StringConstraints(max_length=253)]


def _canonical_host(text: str) -> str:
    try:
        authority = parse_authority(text, default_port=443)
    except AuthorityError as error:
        raise ValueError(f"{text!r} is not a host name: {error}") from error
    if authority.host != text:
        raise ValueError(f"write {text!r} as {authority.host!r}, without port")
    return text


class Endpoint(Message):
    """Where a credential's requests go instead of the public API; no path."""

    scheme: Literal["http", "https"]
    host: HostName
    port: int

    @classmethod
    def parse(cls, url: str) -> Self:
        """Parse `http[s]://host[:port]`; raises ValueError that tells the mend."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or parts.path not in ("", "/"):
            raise ValueError("write it as https://host or https://host:port, without a path")
        if parts.query or parts.fragment:
            raise ValueError("it must have no query and no fragment")
        try:
            authority = parse_authority(
                parts.netloc, default_port=443 if parts.scheme == "https" else 80
            )
        except AuthorityError as error:
            raise ValueError(str(error)) from error
        return cls(
            scheme="https" if parts.scheme == "https" else "http",
            host=authority.host,
            port=authority.port,
        )


class _WithEndpoint(Message):
    endpoint: Annotated[str, StringConstraints(max_length=512)] | None = None

    @field_validator("endpoint")
    @classmethod
    def _endpoint_is_plain(cls, value: str | None) -> str | None:
        if value is not None:
            Endpoint.parse(value)
        return value

    @cached_property
    def parsed_endpoint(self) -> Endpoint | None:
        """The endpoint, if the file replaces the public one."""
        return Endpoint.parse(self.endpoint) if self.endpoint is not None else None


class AwsCredential(_WithEndpoint):
    """AWS keys; requests are signed with SigV4 for one of `services` in one of `regions`."""

    kind: Literal["aws"]
    source: Literal["chain", "static"] = "chain"
    access_key_id_env: VariableName | None = None
    secret_access_key_env: VariableName | None = None
    session_token_env: VariableName | None = None
    services: list[Literal["bedrock"]] = Field(min_length=1, max_length=8)
    regions: list[Region] = Field(min_length=1, max_length=64)
    models: list[ShortText] = Field(default=[], max_length=1000)

    @model_validator(mode="after")
    def _static_names_its_variables(self) -> Self:
        is_static = self.source == "static"
        names = (self.access_key_id_env, self.secret_access_key_env)
        if is_static and None in names:
            raise ValueError(
                'source = "static" needs access_key_id_env and secret_access_key_env,'
                " names of variables of the proxy's environment"
            )
        if not is_static and (any(names) or self.session_token_env):
            raise ValueError('…_env fields belong to source = "static"; remove them')
        return self

    @cached_property
    def hosts_reached(self) -> frozenset[str]:
        """The hosts whose requests are signed with these keys."""
        hosts = {
            f"{prefix}.{region}.amazonaws.com"
            for service in self.services
            for prefix in AWS_SERVICE_PREFIXES[service]
            for region in self.regions
        }
        return frozenset(hosts)


class HeaderCredential(_WithEndpoint):
    """A secret that is set as one header towards `hosts`."""

    kind: Literal["header"]
    header: str
    value_env: VariableName | None = None
    value_file: Path | None = None
    hosts: list[HostName] = Field(min_length=1, max_length=64)

    @field_validator("header")
    @classmethod
    def _header_can_be_set(cls, value: str) -> str:
        name = value.lower()
        if _HEADER_NAME.fullmatch(name) is None or name in _FORBIDDEN_HEADERS:
            raise ValueError(f"{value!r} is not a header that can carry a secret")
        return name

    @field_validator("hosts")
    @classmethod
    def _hosts_are_plain(cls, value: list[str]) -> list[str]:
        return [_canonical_host(host) for host in value]

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.value_env is None) == (self.value_file is None):
            raise ValueError("give exactly one of value_env and value_file")
        if self.value_file is not None and not self.value_file.is_absolute():
            raise ValueError("value_file must be an absolute path")
        if self.endpoint is None and len(self.hosts) != 1:
            raise ValueError("several hosts need an endpoint, which says where requests go")
        return self

    @cached_property
    def hosts_reached(self) -> frozenset[str]:
        """The hosts that get this secret."""
        return frozenset(self.hosts)


Credential = Annotated[AwsCredential | HeaderCredential, Field(discriminator="kind")]


class Network(Message):
    """Exceptions from the private-address refusal, and names that are not asked of DNS."""

    allow_addresses: list[ShortText] = Field(default=[], max_length=256)
    hosts: dict[HostName, ShortText] = Field(default={}, max_length=256)

    @field_validator("allow_addresses")
    @classmethod
    def _exceptions_are_exact(cls, value: list[str]) -> list[str]:
        for text in value:
            _parse_exception(text)
        return value

    @field_validator("hosts")
    @classmethod
    def _names_are_plain(cls, value: dict[str, str]) -> dict[str, str]:
        for host, address in value.items():
            _canonical_host(host)
            _canonical_address(address)
        return value

    @cached_property
    def allowed_addresses(self) -> frozenset[AddressAndPort]:
        """The exact addresses and ports that may be dialled although they are not public."""
        return frozenset(_parse_exception(text) for text in self.allow_addresses)


def _canonical_address(text: str) -> str:
    try:
        return str(parse_address(text))
    except AddressRefusedError as error:
        raise ValueError(f"{text!r} is not an address") from error


def _parse_exception(text: str) -> AddressAndPort:
    match = _ADDRESS_AND_PORT.fullmatch(text)
    if match is None or int(match[2]) > _PORT_MAX:
        raise ValueError(f'{text!r} must be one address and port, like "127.0.0.1:9999"')
    return _canonical_address(match[1].strip("[]")), int(match[2])


class Configuration(Message):
    """The whole file; an empty one is valid and lets nothing out with a credential."""

    credentials: dict[Identifier, Credential] = Field(default={}, max_length=100)
    network: Network = Network()

    @model_validator(mode="after")
    def _endpoints_can_be_dialled(self) -> Self:
        for name, credential in self.credentials.items():
            endpoint = credential.parsed_endpoint
            if endpoint is not None:
                _check_endpoint(f"credentials.{name}.endpoint", endpoint, self.network)
        return self

    @cached_property
    def _injected_hosts(self) -> frozenset[str]:
        hosts = {host for c in self.credentials.values() for host in c.hosts_reached}
        return frozenset(hosts | {e.host for e in self._endpoints if not is_dotted_quad(e.host)})

    @cached_property
    def _endpoints(self) -> tuple[Endpoint, ...]:
        endpoints = (credential.parsed_endpoint for credential in self.credentials.values())
        return tuple(endpoint for endpoint in endpoints if endpoint is not None)

    def is_injected_towards(self, authority: Authority) -> bool:
        """Whether some credential is put on requests to `authority`.

        A named host counts on every port, an address only on the endpoint's own.
        """
        return authority.host in self._injected_hosts or any(
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


def endpoint_of(credential: AwsCredential | HeaderCredential, *, region: str | None) -> Endpoint:
    """Where the model requests of `credential` go; `region` is needed for AWS's own endpoints."""
    if credential.parsed_endpoint is not None:
        return credential.parsed_endpoint
    if isinstance(credential, HeaderCredential):
        return Endpoint(scheme="https", host=credential.hosts[0], port=443)
    return Endpoint(scheme="https", host=f"bedrock-runtime.{region}.amazonaws.com", port=443)


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


def read_trusted_file(path: Path) -> str:
    """Read a small file that only root or our own user can have written.

    Raises:
        ConfigurationError: it is not such a file; the message tells the mend.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be opened: {error.strerror}") from error
    try:
        _check_trusted(path, os.fstat(descriptor))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(FILE_LIMIT_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > FILE_LIMIT_BYTES:
        raise ConfigurationError(f"{path}: larger than {FILE_LIMIT_BYTES} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not UTF-8 text") from error


def _check_trusted(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigurationError(f"{path}: must be a regular file")
    if status.st_uid not in (0, os.geteuid()):
        raise ConfigurationError(f"{path}: must belong to root or to the proxy's user; chown it")
    if status.st_mode & 0o022:
        raise ConfigurationError(f"{path}: others can write it; chmod go-w {path}")
