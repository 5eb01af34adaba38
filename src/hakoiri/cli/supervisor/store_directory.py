"""Where the server's own credentials lie: all that it sees of secrets, and of other sockets."""

from collections.abc import Iterable
from pathlib import Path

from hakoiri.cli.supervisor.preparation import PreparationError
from hakoiri.host.coordination_settings import socket_directory
from hakoiri.host.settings import Settings


def store_directories(settings: Settings, *, apart_from: Iterable[Path]) -> tuple[Path, ...]:
    """Return the directories of the credentials' files that are set, and of Redis' socket.

    All of each directory, for a file that is replaced by another is only seen through it. So it
    must hold nothing that the server must not see, or that is bound to another place: raises
    `PreparationError` if it is above one of `apart_from`, or within.
    """
    apart = tuple(apart_from)
    named = (
        ("HAKOIRI_OBJECT_STORE__CREDENTIALS_FILE", settings.object_store.credentials_file),
        ("HAKOIRI_COORDINATION__CREDENTIALS_FILE", settings.coordination.credentials_file),
    )
    found = [_directory_of(path, name, apart) for name, path in named if path is not None]
    for directory in socket_directory(settings.redis_url):
        _check_apart(directory, "HAKOIRI_REDIS_URL", apart)
        found.append(directory)
    return tuple(dict.fromkeys(found))


def _directory_of(path: Path, name: str, apart_from: tuple[Path, ...]) -> Path:
    if not path.is_absolute():
        raise PreparationError(f"{name}: must be an absolute path")
    _check_apart(path.parent, name, apart_from, path=path)
    return path.parent


def _check_apart(
    directory: Path, name: str, apart_from: tuple[Path, ...], *, path: Path | None = None
) -> None:
    for other in apart_from:
        if other.is_relative_to(directory) or (path or directory).is_relative_to(other):
            raise PreparationError(
                f"{name} needs a directory of its own; {directory} is also that of {other}"
            )
