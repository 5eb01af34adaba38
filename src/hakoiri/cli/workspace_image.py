"""Which image this version's containers run: the one built from the sources beside it."""

import os
import stat
from pathlib import Path

import hakoiri
from hakoiri.host.settings import Settings
from hakoiri.image.build import image_tag
from hakoiri.image.errors import ImageBuildError
from hakoiri.image.signature import SignatureRefusedError

IMAGE_SOURCES = "workspace-base"
_KEY_LIMIT_BYTES = 64 * 1024


def source_root() -> Path:
    """Return the checkout this package runs from; `ImageBuildError` if it is no checkout."""
    root = Path(hakoiri.__path__[0]).resolve().parents[1]
    if not (root / IMAGE_SOURCES).is_dir():
        raise ImageBuildError(
            f"there is no {IMAGE_SOURCES}/ beside this installation, so its image is not known; "
            "run Hakoiri from a checkout, or name an image in HAKOIRI_CONTAINER__IMAGE"
        )
    return root


def workspace_image() -> str:
    """Return the tag of the image that belongs to this version of the code."""
    return image_tag(source_root())


def image_reference(settings: Settings) -> str:
    """Return by which name containers' image is asked for: the setting's, or this version's tag."""
    return settings.container.image or workspace_image()


def read_public_key(path: Path) -> bytes:
    """Read a key that only root or we can have put there.

    Raises:
        SignatureRefusedError: it cannot be read, or others can write it.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(_KEY_LIMIT_BYTES)
    except OSError as error:
        raise SignatureRefusedError(f"{path}: {error.strerror}") from error
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SignatureRefusedError(f"{path}: others can write it; `chown root`, `chmod 644`")
    return content
