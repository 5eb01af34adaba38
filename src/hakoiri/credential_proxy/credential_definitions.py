"""What the proxy's own file says of a credential: where it comes from and where it may go.

No value of a secret is here, only the names of variables and files that hold one.
"""

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator, model_validator

from hakoiri.credential_proxy.authority import AuthorityError, parse_authority
from hakoiri.credential_proxy.signing_scope import SigningScope
from hakoiri.wire.messages import Message, ShortText

AWS_SERVICE_PREFIXES: Final = {"bedrock": ("bedrock-runtime", "bedrock")}
"""Signing name to the host prefixes it is used for (AWS General Reference, Bedrock endpoints)."""

_HEADER_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}")
_FORBIDDEN_HEADERS: Final = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade"}
)

Region = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
HostName = Annotated[str, StringConstraints(max_length=253)]


def canonical_host(text: str) -> str:
    """Return `text`; raises ValueError when it is not a host in its one spelling."""
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

    def is_for(self, host: str) -> bool:
        """Whether requests to `host` may be signed with these keys."""
        return host in self.hosts_reached

    def scope_for(self, host: str) -> SigningScope | None:
        """Return what a signature for `host` is good for, or None when there must be none."""
        for service in self.services:
            for prefix in AWS_SERVICE_PREFIXES[service]:
                for region in self.regions:
                    if host == f"{prefix}.{region}.amazonaws.com":
                        return SigningScope(region, service)
        return None


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
        return [canonical_host(host) for host in value]

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

    def is_for(self, host: str) -> bool:
        """Whether requests to `host` may carry this secret."""
        return host in self.hosts_reached


class SecretCredential(Message):
    """A secret that replaces its placeholder, `hakoiri-secret-NAME`, in requests to `hosts`."""

    kind: Literal["secret"]
    value_env: VariableName | None = None
    value_file: Path | None = None
    hosts: list[HostName] = Field(min_length=1, max_length=64)

    @cached_property
    def hosts_reached(self) -> frozenset[str]:
        """The hosts that get this secret."""
        return frozenset(self.hosts)

    @property
    def parsed_endpoint(self) -> Endpoint | None:
        """None: a placeholder is replaced on the way to the host itself."""
        return None

    def is_for(self, host: str) -> bool:
        """Whether requests to `host` may carry this secret."""
        return host in self.hosts_reached


Credential = Annotated[
    AwsCredential | HeaderCredential | SecretCredential, Field(discriminator="kind")
]


def endpoint_of(credential: Credential, *, region: str | None) -> Endpoint:
    """Where the model requests of `credential` go; `region` is needed for AWS's own endpoints."""
    if credential.parsed_endpoint is not None:
        return credential.parsed_endpoint
    if not isinstance(credential, AwsCredential):
        return Endpoint(scheme="https", host=credential.hosts[0], port=443)
    return Endpoint(scheme="https", host=f"bedrock-runtime.{region}.amazonaws.com", port=443)
