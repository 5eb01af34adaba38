"""A tag of a test's own, under which another image can be put."""

import io
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.engine import TestEngine


def bring_in(docker_host: str, tag: str) -> str:
    """Make an image of one file, unlike any that there is, with this tag; return its id."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(tag))
    done = subprocess.run(
        ["docker", "--host", docker_host, "import", "-", tag],
        input=archive.getvalue(),
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().strip()


@contextmanager
def tagged(engine: TestEngine, tag: str, image: str) -> Iterator[Callable[[], str]]:
    """Give `image` the tag; what is yielded puts another image under it, and returns its id.

    Afterwards the tag and the other image are gone.
    """
    docker = ("docker", "--host", engine.docker_host)
    made: list[str] = []

    def put_another() -> str:
        made.append(bring_in(engine.docker_host, tag))
        return made[-1]

    subprocess.run([*docker, "tag", image, tag], check=True)
    try:
        yield put_another
    finally:
        subprocess.run([*docker, "rmi", tag, *made], capture_output=True, check=False)
