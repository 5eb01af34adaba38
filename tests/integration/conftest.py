import os
from pathlib import Path

import pytest

from hakoiri.image.build import DEFAULT_CACHE_DIR, ensure_image


@pytest.fixture(scope="session")
def image() -> str:
    """The workspace image of these sources; built if the engine does not have it."""
    return ensure_image(
        source_root=Path(__file__).parents[2],
        docker_host=os.environ.get("DOCKER_HOST"),
        cache_dir=DEFAULT_CACHE_DIR,
        progress=print,
    )
