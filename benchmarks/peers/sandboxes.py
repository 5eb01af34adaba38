"""llm-sandbox and swe-rex as peers: each a program in an environment of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.peers.environment import INSTALL_TIMEOUT_S, cache_of, program_of

PROGRAMS: Final = Path(__file__).with_name("programs")
LLM_SANDBOX: Final = "llm-sandbox"
SWE_REX: Final = "swe-rex"
DOCKERFILE: Final = """\
FROM {image}
USER root
COPY wheels /wheels
RUN python3 -m venv /opt/swe-rex
RUN /opt/swe-rex/bin/pip install --no-index --find-links /wheels swe-rex
ENV PATH=/opt/swe-rex/bin:$PATH
"""


class PeerMissingError(Exception):
    """The peer could not be had; the message says why."""


@dataclass(frozen=True, slots=True)
class DrivenPeer:
    """A peer's program that obeys words and tells how long each took."""

    name: str
    process: subprocess.Popen[str]

    def ms(self, word: str) -> float:
        """Have it `create`, `command` or `remove`; return the milliseconds that it took."""
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("a driven peer has pipes")
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        said = self.process.stdout.readline()
        if not said:
            raise RuntimeError(f"{self.name} ended with exit code {self.process.wait()}")
        return float(said)


@contextmanager
def llm_sandbox(*, engine_host: str, image: str) -> Iterator[DrivenPeer]:
    """Start it; `PeerMissingError` if it cannot be installed."""
    python = _python(LLM_SANDBOX, "llm-sandbox[docker]")
    command = [str(python), str(PROGRAMS / "drive_llm_sandbox.py"), engine_host, image]
    with _driven(LLM_SANDBOX, command, engine_host) as peer:
        yield peer


@contextmanager
def swe_rex(*, engine_host: str, image: str) -> Iterator[DrivenPeer]:
    """Start it, on an image with its server in it; `PeerMissingError` if it cannot be installed."""
    python = _python(SWE_REX, "swe-rex", "aiohttp")  # it imports that, and does not say so
    made = _image_with_swe_rex(python, engine_host=engine_host, image=image)
    with _driven(
        SWE_REX, [str(python), str(PROGRAMS / "drive_swe_rex.py"), made], engine_host
    ) as peer:
        yield peer


def _python(name: str, *packages: str) -> Path:
    found = program_of(name, *packages, program="python")
    if isinstance(found, str):
        raise PeerMissingError(f"{name} {found}")
    return found


def _image_with_swe_rex(python: Path, *, engine_host: str, image: str) -> str:
    directory = cache_of("swe-rex-image")
    (directory / "wheels").mkdir(parents=True, exist_ok=True)
    (directory / "Dockerfile").write_text(DOCKERFILE.format(image=image), encoding="ascii")
    tag = f"hakoiri-bench/swe-rex:{image.rpartition(':')[2]}"
    steps = (
        [str(python), "-m", "pip", "download", "--quiet", "-d", f"{directory}/wheels", SWE_REX],
        ["docker", "--host", engine_host, "build", "--network", "none", "-t", tag, str(directory)],
    )
    for step in steps:
        try:
            subprocess.run(step, check=True, capture_output=True, timeout=INSTALL_TIMEOUT_S)
        except (OSError, subprocess.SubprocessError) as error:
            raise PeerMissingError(f"{SWE_REX}'s image could not be built") from error
    return tag


@contextmanager
def _driven(name: str, command: list[str], engine_host: str) -> Iterator[DrivenPeer]:
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        text=True,
        env={**os.environ, "DOCKER_HOST": engine_host},
    ) as process:
        try:
            yield DrivenPeer(name, process)
        finally:
            process.kill()
