"""Which image this version's containers run: the one built from the sources beside it."""

from pathlib import Path

import hakoiri
from hakoiri.image.build import image_tag
from hakoiri.image.errors import ImageBuildError

IMAGE_SOURCES = "workspace-base"


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
