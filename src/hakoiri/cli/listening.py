"""Where a process that is started alone listens."""

from pathlib import Path


def require_directory_of(listen: Path) -> None:
    """Raise `NotADirectoryError`, which names the option, if no socket can be made there."""
    if not listen.absolute().parent.is_dir():
        raise NotADirectoryError(
            f"--listen {listen}: {listen.absolute().parent} is not there; make it, for us alone"
        )
