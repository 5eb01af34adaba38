"""Environments of their own for peers, outside the tree, filled by pip as it is configured here."""

import os
import subprocess
import sys
from pathlib import Path

INSTALL_TIMEOUT_S = 600


def cache_of(name: str) -> Path:
    """Return where a peer's things are kept between runs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "hakoiri-bench" / name


def program_of(name: str, *packages: str, program: str) -> Path | str:
    """Return a program of a peer's environment, made if need be; or why there is none."""
    directory = cache_of(name)
    found = directory / "bin" / program
    installed = directory / "installed"
    if installed.exists():
        return found
    pip = (str(directory / "bin" / "pip"), "install", "--quiet", "--no-input")
    steps = ([sys.executable, "-m", "venv", "--clear", str(directory)], [*pip, *packages])
    for step in steps:
        try:
            subprocess.run(step, check=True, capture_output=True, timeout=INSTALL_TIMEOUT_S)
        except (OSError, subprocess.SubprocessError):
            return "could not be installed"
    installed.touch()
    return found
