"""Asks this host's own package managers where packages come from. The one part that does I/O."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

from hakoiri.cli.presets.npm_config import NpmConfigError, npm_sources
from hakoiri.cli.presets.package_source import Found
from hakoiri.cli.presets.pip_config import pip_sources
from hakoiri.image.apt_sources import all_sources
from hakoiri.image.root_filesystem import read_source_files


class Manager(StrEnum):
    """Whose configuration is read."""

    PIP = "pip"
    NPM = "npm"
    APT = "apt"


ASK_TIMEOUT_S: Final = 60.0
OUTPUT_LIMIT_CHARS: Final = 1024 * 1024
_PIP_DEFAULT: Final = (
    "import json; from pip._internal.models.index import PyPI as index;"
    " print(json.dumps([index.simple_url, index.file_storage_domain]))"
)
"""No command tells pip's default; its index and the host of its files are in its code."""

Ask = Callable[[Sequence[str]], str]


class HostConfigurationError(Exception):
    """A package manager is not there, or does not say what its configuration is."""


def ask(command: Sequence[str]) -> str:
    """Return what `command` prints, outside of any project; raise `HostConfigurationError`."""
    path = shutil.which(command[0])
    if path is None:
        raise HostConfigurationError(f"{command[0]} is not on this host")
    try:
        done = subprocess.run(  # noqa: S603 - our own fixed commands, no shell
            [path, *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            cwd="/",
            timeout=ASK_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise HostConfigurationError(f"{command[0]} does not tell its configuration") from error
    if len(done.stdout) > OUTPUT_LIMIT_CHARS:
        raise HostConfigurationError(f"{command[0]} tells more than can be its configuration")
    return done.stdout


def find_sources(
    managers: Sequence[Manager], *, python: str = sys.executable, ask: Ask = ask
) -> Found:
    """Return where `managers` get packages on this host; one that is not there is noted.

    `python` is the interpreter whose pip is asked.
    """
    found = Found()
    searches = {
        Manager.PIP: lambda: _pip(python, ask),
        Manager.NPM: lambda: npm_sources(ask(["npm", "config", "list", "--json"])),
        Manager.APT: _apt,
    }
    for manager in dict.fromkeys(managers):
        try:
            found.add(searches[manager]())
        except (HostConfigurationError, NpmConfigError) as error:
            found.notes.append(f"{manager.value}: {error}; left out")
    return found


def _pip(python: str, ask: Ask) -> Found:
    listed = ask([python, "-m", "pip", "config", "list"])
    return pip_sources(listed, built_in=_pip_default(ask([python, "-c", _PIP_DEFAULT])))


def _pip_default(printed: str) -> list[str]:
    try:
        told = json.loads(printed)
    except (ValueError, RecursionError) as error:
        raise HostConfigurationError("pip does not tell its default index") from error
    if not isinstance(told, list) or not all(isinstance(one, str) for one in told):
        raise HostConfigurationError("pip does not tell its default index")
    return told


def _apt() -> Found:
    found = Found()
    for source in all_sources(read_source_files()):
        found.add_url(source.uri, origin="apt")
    return found
