"""The workspace image with a hostile program in the agent's place."""

import io
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PROGRAM: Final = Path(__file__).with_name("hostile_agent.py")
DOCKERFILE: Final = """\
FROM {image}
COPY hostile_agent.py /opt/hostile_agent.py
ENTRYPOINT ["/opt/hakoiri/bin/python", "-I", "/opt/hostile_agent.py"]
"""


@contextmanager
def hostile_image(image: str, *, docker_host: str) -> Iterator[str]:
    """Build it from the workspace image, and remove it afterwards."""
    tag = f"hakoiri/hostile:{uuid.uuid4().hex[:12]}"
    docker = ["docker", "--host", docker_host]
    context = {
        "Dockerfile": DOCKERFILE.format(image=image).encode(),
        PROGRAM.name: PROGRAM.read_bytes(),
    }
    subprocess.run(
        [*docker, "build", "--quiet", "--network=none", "--tag", tag, "-"],
        input=_tar(context),
        capture_output=True,
        check=True,
    )
    try:
        yield tag
    finally:
        subprocess.run([*docker, "rmi", tag], capture_output=True, check=False)


def _tar(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
