"""All that an image is made of, read from the source tree."""

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hakoiri.image.content_hash import content_hash
from hakoiri.image.errors import ImageBuildError
from hakoiri.wire.guard import BASE_REPOSITORY, IMAGE_REPOSITORY

SUITE: Final = "bookworm"
"""Debian 12: its Python is 3.11, the oldest we support, and its packages are still maintained."""

AGENT_PACKAGES: Final = ("wire", "workspace_agent")
"""What of `hakoiri` goes into the image, and nothing else."""

AGENT_FILES: Final = ("*.py", "*.json")
"""Its code, and the data that lies beside it."""

PRELOADS: Final = (
    "fetch-through-proxy.cjs",
    "tunnel-through-proxy.cjs",
    "loopback-interfaces.cjs",
)
"""What Node in the container loads before each program."""

SOURCE_LIMIT_BYTES: Final = 16 * 1024 * 1024
"""Far above our sources; a tree beyond it is not ours."""

ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
"""The machine's name for itself, and Debian's for it."""


@dataclass(frozen=True, slots=True)
class ImageInputs:
    """The contents that decide the image, by path. Nothing else does."""

    architecture: str
    base: dict[str, bytes]
    """For the base image: package list and sealing, by file name."""

    libraries: dict[str, bytes]
    """For the libraries: requirements and lock files, by file name."""

    agent: dict[str, bytes]
    """Sources of the agent, by path below `src`."""

    dockerfile: bytes

    @property
    def base_tag(self) -> str:
        """The tag of the base: Debian's packages, sealed."""
        return f"{BASE_REPOSITORY}:{content_hash(self._base_parts())}"

    @property
    def tag(self) -> str:
        """The tag of the whole image."""
        parts = self._base_parts() | self.libraries | self.agent | {"Dockerfile": self.dockerfile}
        return f"{IMAGE_REPOSITORY}:{content_hash(parts)}"

    @property
    def packages(self) -> list[str]:
        """The Debian packages, in the order of the list."""
        lines = self.base["packages.txt"].decode().splitlines()
        return [name for line in lines if (name := line.partition("#")[0].strip())]

    def _base_parts(self) -> dict[str, bytes]:
        about = {"suite": SUITE.encode(), "architecture": self.architecture.encode()}
        return self.base | about


def read_inputs(source_root: Path) -> ImageInputs:
    """Read the inputs below the repository's root; `ImageBuildError` if one is missing."""
    recipe = source_root / "workspace-base"
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise ImageBuildError(
            f"no image for {machine} machines: the agent's CLI is for {', '.join(ARCHITECTURES)}"
        )
    try:
        return ImageInputs(
            architecture=ARCHITECTURES[machine],
            base=_read(recipe, "packages.txt", "seal-root.sh", "slim.Dockerfile"),
            libraries=_read(
                recipe,
                "workspace-requirements.txt",
                "package.json",
                "package-lock.json",
                *PRELOADS,
            ),
            agent=_read_agent(source_root / "src"),
            dockerfile=(recipe / "Dockerfile").read_bytes(),
        )
    except OSError as error:
        raise ImageBuildError(
            f"cannot read {error.filename}: {error.strerror}; name the root of Hakoiri's sources"
        ) from error


def _read(directory: Path, *names: str) -> dict[str, bytes]:
    return {name: (directory / name).read_bytes() for name in names}


def _read_agent(sources: Path) -> dict[str, bytes]:
    contents = {"hakoiri/__init__.py": (sources / "hakoiri" / "__init__.py").read_bytes()}
    total = 0
    for package in AGENT_PACKAGES:
        root = sources / "hakoiri" / package
        for path in sorted(path for kind in AGENT_FILES for path in root.rglob(kind)):
            content = path.read_bytes()
            total += len(content)
            if total > SOURCE_LIMIT_BYTES:
                raise ImageBuildError(f"{package} holds more than {SOURCE_LIMIT_BYTES} bytes")
            contents[str(path.relative_to(sources))] = content
    if len(contents) <= len(AGENT_PACKAGES):
        raise ImageBuildError(f"no agent below {sources}; point to the root of Hakoiri's sources")
    return contents
