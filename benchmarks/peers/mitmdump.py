"""mitmdump as a peer: in an environment of its own, outside the tree."""

import os
import subprocess
import sys
from pathlib import Path

INSTALL_TIMEOUT_S = 600


def find_mitmdump() -> Path | str:
    """Return the program, installed by pip as it is configured here; or why there is none."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = cache / "hakoiri-bench" / "mitmproxy"
    program = directory / "bin" / "mitmdump"
    if program.exists():
        return program
    steps = (
        [sys.executable, "-m", "venv", "--clear", str(directory)],
        [str(directory / "bin" / "pip"), "install", "--quiet", "--no-input", "mitmproxy"],
    )
    for step in steps:
        try:
            subprocess.run(step, check=True, capture_output=True, timeout=INSTALL_TIMEOUT_S)
        except (OSError, subprocess.SubprocessError):
            return "could not be installed"
    return program


def command_of(program: Path, *, mode: str, port: int, confdir: Path) -> list[str]:
    """Return the command that serves on loopback, streams bodies and says nothing."""
    settings = ("stream_large_bodies=1", f"confdir={confdir}", "connection_strategy=lazy")
    command = [str(program), "--quiet", "--mode", f"{mode}@127.0.0.1:{port}", "--ssl-insecure"]
    for setting in settings:
        command += ["--set", setting]
    return command
