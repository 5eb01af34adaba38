"""Where processes send spans: the settings, with the headers of root's own file."""

import tomllib
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from hakoiri.cli.supervisor.preparation import PreparationError
from hakoiri.host.adapters.private_file import PrivateFileError, read_private_file
from hakoiri.host.tracing_settings import TracingSettings
from hakoiri.tracing.launch import TracingLaunch

SETTING: Final = "HAKOIRI_TRACING__HEADERS_FILE"


def tracing_launch(
    settings: TracingSettings, *, instance: str, owner_uid: int = 0
) -> TracingLaunch | None:
    """Return what server and proxy are told, None if nothing is traced; `PreparationError`."""
    url = settings.traces_url
    if url is None:
        return None
    path = settings.headers_file
    headers = read_headers(path, owner_uid=owner_uid) if path is not None else {}
    try:
        return TracingLaunch(
            endpoint=url,
            headers=headers,
            ratio=settings.ratio,
            queue_limit=settings.queue_limit,
            interval_s=settings.interval_s,
            timeout_s=settings.timeout_s,
            instance=instance,
        )
    except ValidationError as error:
        # A header's name could be a secret at the wrong place: none is told.
        found = {str(one["loc"][0]) for one in error.errors(include_input=False)}
        where = f"{SETTING}: {path}" if "headers" in found else "HAKOIRI_TRACING"
        raise PreparationError(
            f"{where}: not usable: {', '.join(sorted(found))}; write header names in lower case, "
            "and values in visible ASCII"
        ) from None


def read_headers(path: Path, *, owner_uid: int = 0) -> dict[str, Any]:
    """Read root's file; `PreparationError` tells what is wrong, never what is in it."""
    try:
        return tomllib.loads(read_private_file(path, owner_uid=owner_uid).decode("utf-8"))
    except PrivateFileError as error:
        raise PreparationError(f"{SETTING}: {error}") from None
    except ValueError:
        raise PreparationError(f"{SETTING}: {path} is no TOML") from None
