"""Where the log is copied to, purely: root's own file, read by the supervisor.

Secrets reach the shipper on its standard input; the server sees none of this.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from hakoiri.audit.launch import ChainName

TARGETS_LIMIT = 8
DAYS_LIMIT = 36_500
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

TargetName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]


class ShipFileError(Exception):
    """The file cannot be used; the message names the field and the mend, never a secret."""


class _Target(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: TargetName


class FileTarget(_Target):
    """A directory, such as a mounted share; it gets the chains' files as they are."""

    kind: Literal["file"]
    directory: Path

    @field_validator("directory")
    @classmethod
    def _is_absolute(cls, value: Path) -> Path:
        if not value.is_absolute():
            raise ValueError("must be an absolute path")
        return value


class SyslogTarget(_Target):
    """A syslog receiver (RFC 5424), at `unix:///dev/log`, `tcp://HOST:PORT` or `tls://HOST:PORT`.

    `ca_file` has the authorities that may vouch for a `tls` one; absent means the system's.
    """

    kind: Literal["syslog"]
    address: str = Field(max_length=512)
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _address_is_one(self) -> Self:
        found = urlsplit(self.address)
        if found.scheme == "unix":
            is_good = not found.netloc and found.path.startswith("/")
        else:
            is_good = found.scheme in {"tcp", "tls"} and bool(found.hostname and found.port)
            is_good = is_good and not (found.path or found.query or found.username)
        if not is_good:
            raise ValueError("address: write unix:///PATH, tcp://HOST:PORT or tls://HOST:PORT")
        if self.ca_file is not None and found.scheme != "tls":
            raise ValueError("ca_file is for tls:// alone")
        return self


class S3Target(_Target):
    """A bucket with object lock: each whole file of a chain is an object that stays.

    Nobody can remove or change an object for `retain_days`, in the mode `COMPLIANCE` not even the
    account's owner. `endpoint` absent means AWS.
    """

    kind: Literal["s3"]
    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    prefix: str = Field(
        default="", pattern=r"^([A-Za-z0-9_.-]{1,64}(/[A-Za-z0-9_.-]{1,64}){0,7})?$"
    )
    region: str = Field(default="us-east-1", pattern=r"^[a-z0-9-]{1,64}$")
    endpoint: str | None = Field(default=None, pattern=r"^https?://[^/?#@\s]+/?$")
    access_key_id: str = Field(pattern=r"^[\x21-\x7e]{1,128}$")
    secret_access_key: SecretStr = Field(min_length=1, max_length=256)
    retain_days: int = Field(default=365, ge=1, le=DAYS_LIMIT)
    mode: Literal["COMPLIANCE", "GOVERNANCE"] = "COMPLIANCE"

    @field_validator("endpoint")
    @classmethod
    def _is_encrypted(cls, value: str | None) -> str | None:
        if value and value.startswith("http://") and urlsplit(value).hostname not in LOOPBACK:
            raise ValueError("http:// is for loopback alone; write https://")
        return value

    @field_serializer("secret_access_key", when_used="json")
    def _hand_over(self, value: SecretStr) -> str:
        """Write it out for the shipper's standard input; nowhere else is this model dumped."""
        return value.get_secret_value()


Target = Annotated[FileTarget | SyslogTarget | S3Target, Field(discriminator="kind")]


class ShipFile(BaseModel):
    """What the file holds: `[[target]]` tables."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    target: list[Target] = Field(min_length=1, max_length=TARGETS_LIMIT)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [one.name for one in self.target]
        if len(set(names)) < len(names):
            raise ValueError("target: two have the same name")
        return self


class ShipLaunch(BaseModel):
    """What the shipper is told at its start: from where, to where, and where it keeps its place."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    instance: str
    chains: dict[ChainName, Path]
    state_dir: Path
    status_file: Path
    targets: list[Target] = Field(min_length=1, max_length=TARGETS_LIMIT)


def parse_ship_file(text: str) -> ShipFile:
    """Read the file's text. Raises `ShipFileError`."""
    try:
        return ShipFile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ShipFileError(f"is no TOML: {error}") from None
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        lines = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in found]
        raise ShipFileError("; ".join(lines)) from None
