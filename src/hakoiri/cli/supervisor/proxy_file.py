"""The proxy's own file: the operator's, with what a rehearsal or a provider needs besides."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import tomli_w

from hakoiri.cli.supervisor.preparation import Ground, PreparationError
from hakoiri.cli.supervisor.rehearsal import Rehearsal
from hakoiri.credential_proxy.configuration import parse_configuration
from hakoiri.credential_proxy.errors import ConfigurationError
from hakoiri.host.settings import Settings

PROXY_FILE: Final = "own/proxy.toml"
"""Below the run directory, in a directory that the control plane sees empty."""


def proxy_file(settings: Settings, rehearsal: Rehearsal | None) -> dict[str, Any]:
    """Return the proxy's own file: the operator's, or what the provider needs where there is none.

    With the rehearsal model, its credential and address are added. Raises `PreparationError`.
    """
    path = settings.proxy.file
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise PreparationError(f"HAKOIRI_PROXY__FILE: cannot read {path}: {error}") from error
    credentials = content.setdefault("credentials", {})
    if rehearsal is not None:
        address = f"127.0.0.1:{rehearsal.port}"
        credentials["bedrock"] = {
            "kind": "aws",
            "source": "static",
            "access_key_id_env": "HAKOIRI_REHEARSAL_ACCESS_KEY_ID",
            "secret_access_key_env": "HAKOIRI_REHEARSAL_SECRET_ACCESS_KEY",
            "services": ["bedrock"],
            "regions": [settings.model.region],
            "endpoint": f"http://{address}",
        }
        content.setdefault("network", {}).setdefault("allow_addresses", []).append(address)
    elif not credentials:
        credentials |= _default_credentials(settings)
    return content


def _default_credentials(settings: Settings) -> dict[str, Any]:
    if settings.model.provider == "anthropic":
        return {
            "anthropic": {
                "kind": "header",
                "header": "x-api-key",
                "value_env": "ANTHROPIC_API_KEY",
                "hosts": ["api.anthropic.com"],
            }
        }
    return {
        "bedrock": {
            "kind": "aws",
            "source": "chain",
            "services": ["bedrock"],
            "regions": [settings.model.region],
        }
    }


def write_proxy_file(content: Mapping[str, Any], *, ground: Ground) -> Path:
    """Write the proxy's file where only root can write and only the proxy can read.

    It is there whole or not at all: a proxy may start at any time. Raises `PreparationError` for a
    file that the proxy would refuse; what is there stays.
    """
    text = tomli_w.dumps(content)
    try:
        parse_configuration(text)
    except ConfigurationError as error:
        raise PreparationError(str(error)) from error
    path = ground.run_dir / PROXY_FILE
    path.parent.mkdir(mode=0o750, exist_ok=True)
    os.chown(path.parent, 0, ground.proxy.gid)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text.encode())
        os.fchown(file.fileno(), 0, ground.proxy.gid)
        os.fchmod(file.fileno(), 0o640)
    new.rename(path)
    return path
