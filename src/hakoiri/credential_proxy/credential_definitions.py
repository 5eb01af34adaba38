"""What the proxy's own file says of a credential: where it comes from and where it may go.

No value of a secret is here, only the names of variables, files and commands that give one.
"""

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator, model_validator

from hakoiri.credential_proxy.authority import AuthorityError, parse_authority
from hakoiri.credential_proxy.aws_hosts import (
    ANY_BUCKET,
    GLOBAL_REGION,
    ONLY_GLOBAL,
    S3,
    is_bucket_name,
    signed_hosts,
    signed_suffixes,
)
from hakoiri.credential_proxy.signing_scope import SigningScope
from hakoiri.wire.messages import Identifier, Message, ShortText

HTTPS_PORT: Final = 443
BEDROCK: Final = "bedrock"
"""The signing name of the models' service."""

COMMAND_TTL_S: Final = 300
"""How long a command's answer holds unless the file or the answer says otherwise."""

_HEADER_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}")
_FORBIDDEN_HEADERS: Final = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade"}
)
_TEMPLATE_SLOT: Final = "{secret}"

Region = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")]
ServiceName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
HostName = Annotated[str, StringConstraints(max_length=253)]
VisibleText = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]+$", max_length=256)]
Command = Annotated[list[ShortText], Field(min_length=1, max_length=64)]
Ports = Annotated[list[Annotated[int, Field(ge=1, le=65535)]], Field(min_length=1, max_length=16)]
TtlSeconds = Annotated[int, Field(ge=1, le=86400)]


def canonical_host(text: str) -> str:
    """Return `text`; raises ValueError when it is not a host in its one spelling."""
    try:
        authority = parse_authority(text, default_port=443)
    except AuthorityError as error:
        raise ValueError(f"{text!r} is not a host name: {error}") from error
    if authority.host != text:
        raise ValueError(f"write {text!r} as {authority.host!r}, without port")
    return text


def _check_absolute(field: str, path: Path | None) -> None:
    if path is not None and not path.is_absolute():
        raise ValueError(f"{field} must be an absolute path")


def _check_command(field: str, command: list[str] | None) -> None:
    if command is None:
        return
    if not command[0].startswith("/"):
        raise ValueError(f'{field} must begin with an absolute path, like ["/usr/bin/pass", "x"]')
    if any("\0" in argument for argument in command):
        raise ValueError(f"{field} must hold no NUL")


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


class _Definition(Message):
    """What every credential says: the ports of its hosts that it may go to, and for whom it is.

    Tenants write their own policies: one that `tenants` does not name cannot have the credential
    put on its requests, and learns no more than of one that does not exist. Absent, all may.
    """

    ports: Ports = Field(default=[HTTPS_PORT])
    tenants: Annotated[list[Identifier], Field(min_length=1, max_length=1000)] | None = None

    def is_tenants(self, tenant: str) -> bool:
        """Whether requests of `tenant` may carry it."""
        return self.tenants is None or tenant in self.tenants


class _WithEndpoint(_Definition):
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


class AwsHost(Message):
    """What requests to one AWS-like host are signed for."""

    service: ServiceName
    region: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")]


_SOURCE_FIELDS: Final = {
    "chain": ("profile", "role_arn", "role_session_name", "role_duration_s", "external_id"),
    "static": ("access_key_id_env", "secret_access_key_env", "session_token_env"),
    "file": ("keys_file",),
    "command": ("keys_command", "keys_ttl_s"),
}
_REQUIRED_FIELDS: Final = {
    "static": ("access_key_id_env", "secret_access_key_env"),
    "file": ("keys_file",),
    "command": ("keys_command",),
}


class AwsCredential(_WithEndpoint):
    """AWS keys; requests are signed with SigV4 for `services` in `regions`, and for `hosts`."""

    kind: Literal["aws"]
    source: Literal["chain", "static", "file", "command"] = "chain"
    profile: VisibleText | None = None
    role_arn: Annotated[str, StringConstraints(pattern=r"^arn:[\x21-\x7e]{16,2044}$")] | None = None
    role_session_name: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_+=,.@-]{2,64}$")] | None
    ) = None
    role_duration_s: Annotated[int, Field(ge=900, le=43200)] | None = None
    external_id: VisibleText | None = None
    access_key_id_env: VariableName | None = None
    secret_access_key_env: VariableName | None = None
    session_token_env: VariableName | None = None
    keys_file: Path | None = None
    keys_command: Command | None = None
    keys_ttl_s: TtlSeconds | None = None
    services: list[ServiceName] = Field(default=[], max_length=32)
    regions: list[Region] = Field(default=[], max_length=64)
    buckets: list[VisibleText] = Field(default=[], max_length=64)
    hosts: dict[HostName, AwsHost] = Field(default={}, max_length=64)
    models: list[ShortText] = Field(default=[], max_length=1000)

    @model_validator(mode="after")
    def _fields_are_those_of_the_source(self) -> Self:
        for source, fields in _SOURCE_FIELDS.items():
            given = [field for field in fields if getattr(self, field) is not None]
            if given and source != self.source:
                raise ValueError(f'{given[0]} belongs to source = "{source}"; remove one of them')
        required = _REQUIRED_FIELDS.get(self.source, ())
        if any(getattr(self, field) is None for field in required):
            raise ValueError(f'source = "{self.source}" needs {" and ".join(required)}')
        if self.role_arn is None and (
            self.role_session_name or self.role_duration_s or self.external_id
        ):
            raise ValueError("role_session_name, role_duration_s and external_id need a role_arn")
        _check_absolute("keys_file", self.keys_file)
        _check_command("keys_command", self.keys_command)
        return self

    @model_validator(mode="after")
    def _reach_is_told(self) -> Self:
        if not self.hosts and not (self.services and self.regions):
            raise ValueError("services and regions, or hosts, must say where the keys may go")
        if bool(self.services) != bool(self.regions):
            raise ValueError("services and regions belong together; give both or none")
        for host in self.hosts:
            canonical_host(host)
        if GLOBAL_REGION not in self.regions and ONLY_GLOBAL.intersection(self.services):
            raise ValueError(f'regions needs "{GLOBAL_REGION}", for which IAM requests are signed')
        if (S3 in self.services) != bool(self.buckets):
            raise ValueError('"s3" in services and buckets belong together; buckets may be ["*"]')
        for bucket in self.buckets:
            if bucket != ANY_BUCKET and not is_bucket_name(bucket):
                raise ValueError(f"buckets: {bucket!r} is no bucket name without dots")
        return self

    @cached_property
    def _scopes(self) -> dict[str, SigningScope]:
        named = {host: SigningScope(aws.region, aws.service) for host, aws in self.hosts.items()}
        return {**signed_hosts(self.services, self.regions, self.buckets), **named}

    @cached_property
    def _suffix_scopes(self) -> dict[str, SigningScope]:
        return signed_suffixes(self.services, self.regions, self.buckets)

    @cached_property
    def hosts_reached(self) -> frozenset[str]:
        """The exact hosts whose requests are signed with these keys."""
        return frozenset(self._scopes)

    @cached_property
    def suffixes_reached(self) -> frozenset[str]:
        """Suffixes, with their dot, under which any host may be signed: every bucket's."""
        return frozenset(self._suffix_scopes)

    def is_for(self, host: str) -> bool:
        """Whether requests to `host`, or to all that `*.suffix` stands for, may be signed.

        A name under such a suffix that no bucket can have is still not signed (`scope_for`).
        """
        if host.startswith("*."):
            return host[1:] in self.suffixes_reached
        return self.scope_for(host) is not None

    def scope_for(self, host: str) -> SigningScope | None:
        """Return what requests to `host` are signed for; None when they are not to be signed."""
        scope = self._scopes.get(host)
        if scope is not None or not self._suffix_scopes:
            return scope
        bucket, dot, rest = host.partition(".")
        return self._suffix_scopes.get(dot + rest) if is_bucket_name(bucket) else None

    def is_limited_at(self, host: str) -> bool:
        """Whether only some models of `host` are for these keys, which only a path tells."""
        scope = self.scope_for(host)
        return bool(self.models) and scope is not None and scope.service == BEDROCK


class _SecretSource(_Definition):
    """One secret that goes to `hosts`, from exactly one source."""

    value_env: VariableName | None = None
    value_file: Path | None = None
    value_command: Command | None = None
    value_ttl_s: TtlSeconds | None = None
    hosts: list[HostName] = Field(min_length=1, max_length=64)

    suffixes_reached: ClassVar[frozenset[str]] = frozenset()

    @field_validator("hosts")
    @classmethod
    def _hosts_are_plain(cls, value: list[str]) -> list[str]:
        return [canonical_host(host) for host in value]

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        sources = (self.value_env, self.value_file, self.value_command)
        if sum(source is not None for source in sources) != 1:
            raise ValueError("give exactly one of value_env, value_file and value_command")
        if self.value_ttl_s is not None and self.value_command is None:
            raise ValueError("value_ttl_s belongs to value_command; a file is watched")
        _check_absolute("value_file", self.value_file)
        _check_command("value_command", self.value_command)
        return self

    @cached_property
    def hosts_reached(self) -> frozenset[str]:
        """The hosts that get this secret."""
        return frozenset(self.hosts)

    def is_for(self, host: str) -> bool:
        """Whether requests to `host` may carry this secret."""
        return host in self.hosts_reached


class HeaderCredential(_SecretSource, _WithEndpoint):
    """A secret that is set as one header, as it is or in a template like `token {secret}`."""

    kind: Literal["header"]
    header: str
    template: VisibleText = _TEMPLATE_SLOT

    @field_validator("header")
    @classmethod
    def _header_can_be_set(cls, value: str) -> str:
        name = value.lower()
        if _HEADER_NAME.fullmatch(name) is None or name in _FORBIDDEN_HEADERS:
            raise ValueError(f"{value!r} is not a header that can carry a secret")
        return name

    @field_validator("template")
    @classmethod
    def _template_has_one_slot(cls, value: str) -> str:
        if value.count(_TEMPLATE_SLOT) != 1:
            raise ValueError('write {secret} once, like "token {secret}"')
        return value

    def render(self, secret: str) -> str:
        """Return the header's value for `secret`."""
        before, _, after = self.template.partition(_TEMPLATE_SLOT)
        return f"{before}{secret}{after}"


class BearerCredential(_SecretSource, _WithEndpoint):
    """A token that is sent as `Authorization: Bearer` (RFC 6750, section 2.1)."""

    kind: Literal["bearer"]


class BasicCredential(_SecretSource, _WithEndpoint):
    """A password that is sent with `username` as `Authorization: Basic` (RFC 7617)."""

    kind: Literal["basic"]
    username: Annotated[str, StringConstraints(pattern=r"^[\x20-\x39\x3b-\x7e]*$", max_length=256)]


class QueryCredential(_SecretSource, _WithEndpoint):
    """A secret that is set as one query parameter, in place of the client's."""

    kind: Literal["query"]
    parameter: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.~-]{1,64}$")]


class SecretCredential(_SecretSource):
    """A secret that a container knows as `hakoiri-secret-NAME`, replaced on its way to `hosts`."""

    kind: Literal["secret"]

    parsed_endpoint: ClassVar[None] = None


ValueCredential = (
    HeaderCredential | BearerCredential | BasicCredential | QueryCredential | SecretCredential
)
Credential = Annotated[AwsCredential | ValueCredential, Field(discriminator="kind")]
