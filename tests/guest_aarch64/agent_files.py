"""The agent as the image has it, for aarch64: its packages, with the real CLI, and its own code."""

import dataclasses
import sys
from pathlib import Path
from typing import Final

from tests.guest.guest_disk import run

from hakoiri.image.inputs import ImageInputs, read_inputs
from hakoiri.image.libraries import PYTHON_VERSION, ensure_wheels, platforms

ROOT: Final = Path(__file__).parents[2]
DEBIANS_NAME: Final = "arm64"
PLACE: Final = "opt/hakoiri"
_ENVIRONMENT: Final = "home = /usr/bin\ninclude-system-site-packages = false\n"


def read_agent() -> ImageInputs:
    """Return what the image is made of on an aarch64 machine."""
    return dataclasses.replace(read_inputs(ROOT), architecture=DEBIANS_NAME)


def add_agent(root: Path, *, inputs: ImageInputs, cache: Path, work: Path) -> None:
    """Put the agent's virtual environment into the file system at `root`.

    `cache` keeps the downloads, `work` is for files of the moment. Raises `GuestError`, and
    `ImageBuildError` if a package cannot be had.
    """
    wheels = ensure_wheels(inputs, cache_dir=cache, progress=print)
    lock = work / "workspace-requirements.txt"
    lock.write_bytes(inputs.libraries[lock.name])
    place = root / PLACE
    site = place / f"lib/python{PYTHON_VERSION}/site-packages"
    (place / "bin").mkdir(parents=True)
    (place / "bin/python").symlink_to("/usr/bin/python3")
    (place / "pyvenv.cfg").write_text(_ENVIRONMENT)
    run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", f"--target={site}", "--no-deps"),
            *("--no-index", f"--find-links={wheels}", "--require-hashes", "--only-binary=:all:"),
            *(f"--python-version={PYTHON_VERSION}", "--implementation=cp", "--no-compile"),
            *("--abi=cp311", "--abi=abi3", "--abi=none", "--disable-pip-version-check"),
            *(f"--platform={name}" for name in platforms(DEBIANS_NAME)),
            *("--requirement", str(lock)),
        ]
    )
    for path, content in inputs.agent.items():
        target = site / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
