"""Where the object store's credentials lie: the one directory of secrets that the server sees."""

from collections.abc import Iterable
from pathlib import Path

from hakoiri.cli.supervisor.preparation import PreparationError
from hakoiri.host.settings import Settings


def store_directories(settings: Settings, *, apart_from: Iterable[Path]) -> tuple[Path, ...]:
    """Return the directory of the credentials' file, if one is set.

    All of the directory, for a file that is replaced by another is only seen through it. So it must
    hold nothing that the server must not see, or that is bound to another place: raises
    `PreparationError` if it is above one of `apart_from`, or within.
    """
    path = settings.object_store.credentials_file
    if path is None:
        return ()
    if not path.is_absolute():
        raise PreparationError("HAKOIRI_OBJECT_STORE__CREDENTIALS_FILE: must be an absolute path")
    for other in apart_from:
        if other.is_relative_to(path.parent) or path.is_relative_to(other):
            raise PreparationError(
                "HAKOIRI_OBJECT_STORE__CREDENTIALS_FILE needs a directory of its own; "
                f"{path.parent} is also that of {other}"
            )
    return (path.parent,)
