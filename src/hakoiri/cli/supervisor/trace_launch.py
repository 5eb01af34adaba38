"""Where processes send spans: the settings, with the headers of root's own file."""

import os
import stat
import tomllib
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from hakoiri.cli.supervisor.preparation import PreparationError
from hakoiri.host.tracing_settings import TracingSettings
from hakoiri.tracing.launch import TracingLaunch

SETTING: Final = "HAKOIRI_TRACING__HEADERS_FILE"
FILE_LIMIT_BYTES: Final = 64 * 1024
_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


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
        descriptor = os.open(path, _OPEN)
    except OSError as error:
        raise PreparationError(f"{SETTING}: cannot read {path}: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        is_file = stat.S_ISREG(status.st_mode)
        if not is_file or status.st_uid != owner_uid or stat.S_IMODE(status.st_mode) & 0o077:
            raise PreparationError(
                f"{SETTING}: {path} may hold secrets: make it a file of root's alone "
                "(chown root, chmod 600)"
            )
        content = file.read(FILE_LIMIT_BYTES + 1)
    if len(content) > FILE_LIMIT_BYTES:
        raise PreparationError(f"{SETTING}: {path} is over {FILE_LIMIT_BYTES} bytes")
    try:
        return tomllib.loads(content.decode("utf-8"))
    except ValueError:
        raise PreparationError(f"{SETTING}: {path} is no TOML") from None
