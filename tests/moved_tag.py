"""A tag of a test's own, under which another image can be put."""

import io
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.engine import TestEngine


@contextmanager
def tagged(engine: TestEngine, tag: str, image: str) -> Iterator[Callable[[], str]]:
    """Give `image` the tag; what is yielded puts another image under it, and returns its id.

    Afterwards the tag and the other image are gone.
    """
    docker = ("docker", "--host", engine.docker_host)
    made: list[str] = []

    def put_another() -> str:
        """Make an image of one file, unlike any that there is."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            named = tarfile.TarInfo(tag)
            tar.addfile(named)
        done = subprocess.run(
            [*docker, "import", "-", tag],
            input=archive.getvalue(),
            capture_output=True,
            check=True,
        )
        made.append(done.stdout.decode().strip())
        return made[-1]

    subprocess.run([*docker, "tag", image, tag], check=True)
    try:
        yield put_another
    finally:
        subprocess.run([*docker, "rmi", tag, *made], capture_output=True, check=False)
