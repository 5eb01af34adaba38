"""Python wheels and node modules for the image, kept in a cache by the hash of their lock files."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hakoiri.image.command import run
from hakoiri.image.content_hash import content_hash
from hakoiri.image.errors import ImageBuildError
from hakoiri.image.inputs import ImageInputs

DOWNLOAD_TIMEOUT_S: Final = 1800.0
PYTHON_VERSION: Final = "3.11"
OLDEST_GLIBC_MINOR: Final = 17
GLIBC_MINOR: Final = 36
"""glibc 2.36 is Debian 12's; wheels for any manylinux from 2.17 (manylinux2014) to it run there."""

_MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}

Progress = Callable[[str], None]


def ensure_wheels(
    inputs: ImageInputs, *, cache_dir: Path, progress: Progress, python: str = sys.executable
) -> Path:
    """Return the directory of the wheels; download them with `python`'s pip if they are not there.

    Raises `ImageBuildError`.
    """
    requirements = inputs.libraries["workspace-requirements.txt"]
    key = content_hash({"requirements": requirements, "arch": inputs.architecture.encode()})

    def download(scratch: Path) -> None:
        progress("downloading the agent's Python packages (about 150 MB)")
        lock = scratch.parent / "workspace-requirements.txt"
        lock.write_bytes(requirements)
        run(
            [
                *(python, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--require-hashes", "--only-binary=:all:", f"--dest={scratch}"),
                *(f"--python-version={PYTHON_VERSION}", "--implementation=cp"),
                *("--abi=cp311", "--abi=abi3", "--abi=none"),
                *(f"--platform={name}" for name in platforms(inputs.architecture)),
                *("--requirement", str(lock)),
            ],
            what="downloading Python packages",
            mend="see whether pip reaches its package index on this machine, then try again",
            timeout_s=DOWNLOAD_TIMEOUT_S,
            environment={"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        )

    return _ensure(cache_dir / "wheels", key, download)


def ensure_node_modules(inputs: ImageInputs, *, cache_dir: Path, progress: Progress) -> Path:
    """Return the `node_modules` directory; install it if it is not there.

    Raises `ImageBuildError`.
    """
    names = ("package.json", "package-lock.json")
    lock = {name: inputs.libraries[name] for name in names}

    def install(scratch: Path) -> None:
        progress("installing the node modules (global-agent, undici)")
        if shutil.which("npm") is None:
            raise ImageBuildError("npm is missing; install it (Debian: apt-get install npm)")
        for name, content in lock.items():
            (scratch / name).write_bytes(content)
        run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev"],
            what="installing node modules",
            mend="see whether npm reaches its registry on this machine, then try again",
            timeout_s=DOWNLOAD_TIMEOUT_S,
            directory=scratch,
        )

    return _ensure(cache_dir / "node", content_hash(lock), install) / "node_modules"


def platforms(architecture: str) -> list[str]:
    """Return the platform tags (PEP 600) of wheels that run in the image, newest first."""
    machine = _MACHINES[architecture]
    minors = range(GLIBC_MINOR, OLDEST_GLIBC_MINOR - 1, -1)
    return [f"manylinux_2_{minor}_{machine}" for minor in minors] + [f"manylinux2014_{machine}"]


def _ensure(shelf: Path, key: str, fill: Callable[[Path], None]) -> Path:
    """Return `shelf/key`; what does not exist is filled aside and moved in whole."""
    wanted = shelf / key
    if wanted.is_dir():
        return wanted
    shelf.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=shelf, prefix="new-") as scratch:
        content = Path(scratch) / "content"
        content.mkdir()
        fill(content)
        # one version at a time: the wheels are 150 MB
        for old in shelf.iterdir():
            if old != Path(scratch):
                shutil.rmtree(old)
        os.rename(content, wanted)  # noqa: PTH104 - within one directory, atomic
    return wanted
