"""Peers that come as packages: each in an environment of its own, outside the tree."""

import os
import subprocess
import sys
from pathlib import Path

INSTALL_TIMEOUT_S = 600


def find_program(package: str, program: str) -> Path | str:
    """Return the program, installed by pip as it is configured here; or why there is none."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = cache / "hakoiri-bench" / package
    path = directory / "bin" / program
    if path.exists():
        return path
    steps = (
        [sys.executable, "-m", "venv", "--clear", str(directory)],
        [str(directory / "bin" / "pip"), "install", "--quiet", "--no-input", package],
    )
    for step in steps:
        try:
            subprocess.run(step, check=True, capture_output=True, timeout=INSTALL_TIMEOUT_S)
        except (OSError, subprocess.SubprocessError):
            return "could not be installed"
    return path
