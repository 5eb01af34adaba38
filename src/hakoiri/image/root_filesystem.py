"""The base image: Debian's packages in one sealed layer.

Made by mmdebstrap from the host's own Debian sources, which needs root but no image registry; where
that cannot be, from a pinned slim Debian image.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hakoiri.image.apt_sources import debian_sources
from hakoiri.image.command import run
from hakoiri.image.engine import Engine
from hakoiri.image.inputs import SUITE, ImageInputs

MMDEBSTRAP_TIMEOUT_S: Final = 1800.0
SOURCES_LIMIT_BYTES: Final = 1024 * 1024
_APT: Final = Path("/etc/apt")

Progress = Callable[[str], None]


def ensure_base(
    inputs: ImageInputs, *, engine: Engine, work: Path, progress: Progress, apt: Path = _APT
) -> str:
    """Return the base image's tag; make it if the engine does not have it.

    `work` is a directory for files of the moment, about 1 GB. Raises `ImageBuildError`.
    """
    tag = inputs.base_tag
    if engine.has_image(tag):
        return tag
    sources = debian_sources(read_source_files(apt), SUITE)
    if sources and os.geteuid() == 0 and shutil.which("mmdebstrap"):
        _bootstrap(inputs, sources=sources, engine=engine, work=work, progress=progress)
    else:
        _build_on_slim(inputs, engine=engine, work=work, progress=progress)
    return tag


def _bootstrap(
    inputs: ImageInputs, *, sources: list[str], engine: Engine, work: Path, progress: Progress
) -> None:
    progress("making a Debian root filesystem with mmdebstrap (about a minute)")
    sealing = work / "seal-root.sh"
    sealing.write_bytes(inputs.base["seal-root.sh"])
    with tempfile.TemporaryDirectory(dir=work, prefix="root-") as scratch:
        archive = Path(scratch) / "root.tar"
        run(
            [
                *("mmdebstrap", "--mode=root", "--variant=minbase", "--skip=output/dev"),
                f"--architectures={inputs.architecture}",
                f"--include={','.join(inputs.packages)}",
                f'--customize-hook=sh "{sealing}" "$1"',
                *(SUITE, str(archive), *sources),
            ],
            what="making the root filesystem",
            mend="see whether `apt-get update` works on this machine, then try again",
            timeout_s=MMDEBSTRAP_TIMEOUT_S,
            environment={"TMPDIR": scratch},
            on_line=lambda line: progress(f"  {line[3:]}") if line.startswith("I: ") else None,
        )
        progress("importing the root filesystem into the engine")
        engine.import_root(archive, tag=inputs.base_tag)


def _build_on_slim(inputs: ImageInputs, *, engine: Engine, work: Path, progress: Progress) -> None:
    progress("making the base from Debian's slim image (no mmdebstrap as root here)")
    context = work / "slim"
    context.mkdir()
    for name, content in inputs.base.items():
        (context / name).write_bytes(content)
    engine.build(
        context,
        dockerfile="slim.Dockerfile",
        tag=inputs.base_tag,
        arguments={},
        network="default",
        mend="the slim image must be in the engine's reach; on Debian 12, `apt-get install "
        "mmdebstrap` and run as root to need no image registry",
        on_line=show_steps(progress),
    )


def show_steps(progress: Progress) -> Callable[[str], None]:
    """Pass on the lines of `docker build` that name a step."""

    def show(line: str) -> None:
        if line.startswith(("Step ", "#")) and len(line) > len("Step "):
            progress(f"  {line[:100]}")

    return show


def read_source_files(apt: Path = _APT) -> dict[str, str]:
    """Return the contents of apt's source files by name; those over a megabyte are passed over."""
    paths = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    return {
        path.name: path.read_text(errors="replace")
        for path in paths
        if path.is_file() and path.stat().st_size <= SOURCES_LIMIT_BYTES
    }
