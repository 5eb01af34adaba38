"""Redis as the settings name it."""

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from hakoiri.host.adapters.private_file import PrivateFileError, read_private_file
from hakoiri.host.adapters.redis.coordination import RedisCoordination
from hakoiri.host.adapters.redis.link import RedisLink, open_client
from hakoiri.host.coordination.ports import CoordinationError
from hakoiri.host.coordination_settings import CoordinationSettings
from hakoiri.host.telemetry.coordination_metrics import CoordinationMetrics


class RedisCredentials(BaseModel):
    """What the file holds, as TOML. The password does not show in `repr`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    username: str | None = Field(default=None, pattern=r"^[\x21-\x7e]{1,128}$")
    password: SecretStr = Field(min_length=1, max_length=1024)


def read_redis_credentials(path: Path, *, owner_uid: int = 0) -> RedisCredentials:
    """Read the file; `CoordinationError` names what is wrong with it, never what is in it."""
    try:
        content = read_private_file(path, owner_uid=owner_uid)
    except PrivateFileError as error:
        raise CoordinationError(f"coordination.credentials_file: {error}") from None
    try:
        return RedisCredentials.model_validate(tomllib.loads(content.decode()))
    except (ValidationError, ValueError):
        raise CoordinationError(
            f"coordination.credentials_file: {path} must be TOML with `password` and, if there is "
            "one, `username`"
        ) from None


def open_redis(
    url: str, settings: CoordinationSettings, *, holder: str, metrics: CoordinationMetrics
) -> RedisCoordination:
    """Return the coordination of the server `holder`; nothing is connected yet.

    Raises `CoordinationError` for a credentials' file that cannot be used.
    """
    path = settings.credentials_file
    credentials = None if path is None else read_redis_credentials(path)
    client = open_client(
        url,
        username=credentials.username if credentials else None,
        password=credentials.password.get_secret_value() if credentials else None,
        timeout_s=settings.timeout_s,
    )
    return RedisCoordination(
        RedisLink(client, timeout_s=settings.timeout_s, metrics=metrics),
        namespace=settings.namespace,
        holder=holder,
        lease_s=settings.lease_s,
        when_away=settings.when_away,
    )
