"""What an operator can set: `hakoiri.toml`, overridden by `HAKOIRI_*`, overridden by flags.

`HAKOIRI_CONTAINER__RUNTIME` is `[container] runtime` in the file. Unknown keys are errors, in the
file and in the environment. `HAKOIRI_CONFIG` names another file than `./hakoiri.toml`.
"""

import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, Self

from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from hakoiri.host.admission_settings import AdmissionSettings
from hakoiri.host.client_variables import CLIENT_KEY_VARIABLE, CLIENT_URL_VARIABLE
from hakoiri.host.collection_settings import CollectionSettings
from hakoiri.host.container_settings import ContainerSettings
from hakoiri.host.coordination_settings import CoordinationSettings, check_redis_url
from hakoiri.host.process_settings import (
    AuditSettings,
    GuardSettings,
    ProxySettings,
    UserSettings,
)
from hakoiri.host.retention_settings import RetentionSettings
from hakoiri.host.settings_section import Section
from hakoiri.host.tracing_settings import TracingSettings
from hakoiri.wire.pool import AGE_LIMIT_S, AGE_MIN_S, SIZE_LIMIT, PoolSize

ENV_PREFIX = "HAKOIRI_"
CONFIG_VARIABLE = "HAKOIRI_CONFIG"
DEFAULT_CONFIG_FILE = "hakoiri.toml"
DEFAULT_DOCKER_HOST = "unix:///var/run/docker.sock"
MIB = 1024 * 1024
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


class SettingsError(Exception):
    """The settings cannot be used; the message names the key and the mend."""


class ModelSettings(Section):
    """Which model the agents use, and where. `rehearsal` is the stand-in, never a fallback."""

    provider: Literal["bedrock", "anthropic", "rehearsal"] = "bedrock"
    region: str = Field(default="us-east-1", pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")
    name: str | None = Field(default=None, max_length=256)
    """The model id; absent means the agent CLI's own default."""

    retries: int = Field(default=8, ge=0, le=10)
    """How often the agent asks again after a failed model call, pausing longer each time.

    Its CLI pauses for 0.5 s, then twice as long each time, and 32 s at most: 8 are over a minute,
    so that a turn outlives a proxy that is started anew, as at an upgrade. 4 would be 7.5 s.
    """

    rehearsal_script: Path | None = None
    """YAML with the rehearsal's answers; absent means the built-in script."""

    rehearsal_port: int = Field(default=0, ge=0, le=65535)
    """Where the rehearsal listens on loopback; 0 means any free port."""


class WarmPoolSettings(Section):
    """Containers that wait for a claim, until `hakoiri pool set` says otherwise.

    They are of the usual runtime. `target` absent means twice the minimum, at most the maximum.
    """

    min: int = Field(default=1, ge=0, le=SIZE_LIMIT)
    target: int | None = Field(default=None, ge=0, le=SIZE_LIMIT)
    max: int = Field(default=4, ge=0, le=SIZE_LIMIT)
    max_age_s: float = Field(default=3600, ge=AGE_MIN_S, le=AGE_LIMIT_S)
    refills_at_once: int = Field(default=1, ge=1, le=16)
    preconnect: bool = True

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        self.size()
        return self

    def size(self) -> PoolSize:
        """Return the sizes, complete. Raises `ValueError` (pydantic's) if they are not in order."""
        target = self.target if self.target is not None else min(2 * self.min, self.max)
        return PoolSize(min=self.min, target=target, max=self.max)


class TurnSettings(Section):
    """Bounds of one turn."""

    timeout_s: float = Field(default=3600, gt=0, le=86_400)
    silence_timeout_s: float = Field(default=600, gt=0, le=86_400)
    """A turn in which the agent says nothing for this long has failed."""

    sync_quiet_s: float = Field(default=10, ge=1, le=3600)
    """A running turn's files are saved once no tool has ended for this long."""

    sync_longest_wait_s: float = Field(default=30, ge=1, le=3600)
    """They are saved at the latest this long after a tool may have changed them."""


class FilesSettings(Section):
    """Bounds of what one workspace's recovery point may hold."""

    limit_bytes: int = Field(default=5 * 1024**3, ge=1024)
    limit_entries: int = Field(default=200_000, ge=1)
    file_limit_bytes: int = Field(default=1024**3, ge=1024, le=1024**4)
    depth_limit: int = Field(default=64, ge=1, le=512)


class ObjectStoreSettings(Section):
    """How an `s3://` store is reached; a `file://` store needs none of it."""

    credentials_file: Path | None = None
    """TOML, root's to write and the server's user's to read; its credentials open the store."""

    endpoint: str | None = Field(default=None, pattern=r"^https?://[^/?#@\s]+/?$")
    """Absent means AWS; `http://` only on loopback."""

    region: str = Field(default="us-east-1", pattern=r"^[a-z0-9-]{1,64}$")
    encryption: Literal["bucket", "AES256", "aws:kms", "aws:kms:dsse", "customer"] = "bucket"
    """`bucket`: as the bucket is set up; `customer`: with the key in the credentials' file."""

    kms_key_id: str | None = Field(default=None, pattern=r"^[\x21-\x7e]{1,2048}$")
    timeout_s: float = Field(default=30, ge=0.1, le=600)
    """One request, all its attempts together."""

    @model_validator(mode="after")
    def _key_has_its_encryption(self) -> Self:
        if self.kms_key_id is not None and not self.encryption.startswith("aws:kms"):
            raise ValueError("kms_key_id needs encryption aws:kms or aws:kms:dsse")
        return self


class Settings(BaseSettings):
    """All settings of `hakoiri serve`."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    host: str = "127.0.0.1"
    port: int = Field(default=8420, ge=1, le=65535)
    data_dir: Path = Path("/var/lib/hakoiri")
    run_dir: Path | None = None
    """Where sockets live; absent means `/run/hakoiri/<instance>`."""

    database_url: str | None = None
    """Absent means SQLite in the data directory."""

    object_store_url: str | None = None
    """`file://` or `s3://bucket/prefix`; absent means `objects/` in the data directory."""

    redis_url: str | None = None
    """Through which servers on one database agree; absent means that there is one server."""

    docker_host: str = DEFAULT_DOCKER_HOST
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    model: ModelSettings = ModelSettings()
    container: ContainerSettings = ContainerSettings()
    warm_pool: WarmPoolSettings = WarmPoolSettings()
    admission: AdmissionSettings = AdmissionSettings()
    turn: TurnSettings = TurnSettings()
    files: FilesSettings = FilesSettings()
    object_store: ObjectStoreSettings = ObjectStoreSettings()
    collection: CollectionSettings = CollectionSettings()
    retention: RetentionSettings = RetentionSettings()
    coordination: CoordinationSettings = CoordinationSettings()
    proxy: ProxySettings = ProxySettings()
    guard: GuardSettings = GuardSettings()
    audit: AuditSettings = AuditSettings()
    tracing: TracingSettings = TracingSettings()
    users: UserSettings = UserSettings()

    @field_validator("database_url", "object_store_url")
    @classmethod
    def _kind_of_store_is_known(cls, value: str | None, info: ValidationInfo) -> str | None:
        known = {"database_url": ("sqlite", "postgresql"), "object_store_url": ("file", "s3")}
        schemes = known[str(info.field_name)]
        if value is not None and re.split(r"[+:]", value, maxsplit=1)[0] not in schemes:
            raise ValueError(f"must begin with {' or '.join(f'{one}://' for one in schemes)}")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis_url_is_safe(cls, value: str | None) -> str | None:
        return None if value is None else check_redis_url(value)

    @model_validator(mode="after")
    def _paths_are_absolute(self) -> Self:
        for name in ("data_dir", "run_dir"):
            value: Path | None = getattr(self, name)
            if value is not None and not value.is_absolute():
                raise ValueError(f"{name} must be an absolute path, not {value}")
        return self

    @model_validator(mode="after")
    def _what_fits_a_workspace_can_be_saved(self) -> Self:
        container, files = self.container, self.files
        held_bytes = (container.workspace_mib + container.home_mib) * MIB
        held_entries = container.workspace_inodes + container.home_inodes
        for key, limit, held, mend in (
            ("limit_bytes", files.limit_bytes, held_bytes, "container.workspace_mib or home_mib"),
            (
                "limit_entries",
                files.limit_entries,
                held_entries,
                "container.workspace_inodes or home_inodes",
            ),
        ):
            if limit < held:
                raise ValueError(
                    f"files.{key}: a recovery point may hold {limit}, but a container's disks "
                    f"{held}; raise it, or lower {mend}"
                )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags over environment over file; nothing else."""
        del dotenv_settings, file_secret_settings
        path = Path(os.environ.get(CONFIG_VARIABLE, DEFAULT_CONFIG_FILE))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, path)


def load(**flags: object) -> Settings:
    """Read the settings; flags that are None count as not given.

    Raises `SettingsError` for an unknown key, a bad value, or a named file that is missing.
    """
    _refuse_unknown_variables()
    named = os.environ.get(CONFIG_VARIABLE)
    if named and not Path(named).is_file():
        raise SettingsError(f"{CONFIG_VARIABLE} names {named}, which is not a file")
    try:
        return Settings(**{key: value for key, value in flags.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError(_describe(error)) from error
    except ValueError as error:  # broken TOML
        raise SettingsError(f"{named or DEFAULT_CONFIG_FILE}: {error}") from error


def variables() -> dict[str, object]:
    """Return each setting's variable with its default."""
    return dict(_variables(Settings, ENV_PREFIX))


def _refuse_unknown_variables() -> None:
    known = {*variables(), CONFIG_VARIABLE, CLIENT_URL_VARIABLE, CLIENT_KEY_VARIABLE}
    for name in os.environ:
        if name.startswith(ENV_PREFIX) and name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "see docs/operations/settings.md"
            raise SettingsError(f"{name} is not a setting; {hint}")


def _variables(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, object]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from _variables(kind, f"{prefix}{name.upper()}__")
        else:
            yield prefix + name.upper(), field.default


def _mend(key: str, kind: str, message: str) -> str:
    if kind != "extra_forbidden":
        return message.removeprefix("Value error, ")
    dotted = [name.removeprefix(ENV_PREFIX).lower().replace("__", ".") for name in variables()]
    near = get_close_matches(key, {*dotted, *(one.partition(".")[0] for one in dotted)}, n=1)
    return f"no such setting; did you mean {near[0]}?" if near else "no such setting"


def _describe(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        key = ".".join(str(part) for part in problem["loc"]) or "settings"
        lines.append(f"{key}: {_mend(key, problem['type'], problem['msg'])}")
    return "; ".join(lines)
