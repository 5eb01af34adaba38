"""The image from nothing to its tag: base, libraries, agent."""

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from hakoiri.image.bill_file import ensure_bill
from hakoiri.image.context import write_context
from hakoiri.image.engine import Engine
from hakoiri.image.errors import ImageBuildError
from hakoiri.image.inputs import ImageInputs, read_inputs
from hakoiri.image.libraries import ensure_node_modules, ensure_wheels
from hakoiri.image.root_filesystem import ensure_base, show_steps

FREE_BYTES: Final = 4 * 1024**3
"""A first build needs about 3 GB: root archive, base, wheels and image."""

DEFAULT_CACHE_DIR: Final = Path("/var/cache/hakoiri")

Progress = Callable[[str], None]


def image_tag(source_root: Path) -> str:
    """Return the tag that the sources below `source_root` stand for. Raises `ImageBuildError`."""
    return read_inputs(source_root).tag


def ensure_image(
    *, source_root: Path, docker_host: str | None, cache_dir: Path, progress: Progress
) -> str:
    """Return the tag of the workspace image; build it if the engine does not have it.

    `source_root` is the repository's root, `docker_host` an engine's address (`unix:///…`, None for
    the default), `cache_dir` holds downloads for the next build. Raises `ImageBuildError`.
    """
    inputs = read_inputs(source_root)
    engine = Engine(docker_host)
    if engine.has_image(inputs.tag):
        return inputs.tag
    with _sole_builder(cache_dir, progress):
        if not engine.has_image(inputs.tag):
            _check_space(cache_dir, engine)
            _build(inputs, engine=engine, cache_dir=cache_dir, progress=progress)
    return inputs.tag


def _build(inputs: ImageInputs, *, engine: Engine, cache_dir: Path, progress: Progress) -> None:
    progress(f"building {inputs.tag}")
    with tempfile.TemporaryDirectory(dir=cache_dir, prefix="build-") as scratch:
        work = Path(scratch)
        wheels = ensure_wheels(inputs, cache_dir=cache_dir, progress=progress)
        node_modules = ensure_node_modules(inputs, cache_dir=cache_dir, progress=progress)
        base = ensure_base(inputs, engine=engine, work=work, progress=progress)
        context = work / "context"
        write_context(context, inputs=inputs, wheels=wheels, node_modules=node_modules)
        progress("installing the agent into the image")
        engine.build(
            context,
            dockerfile="Dockerfile",
            tag=inputs.tag,
            arguments={"BASE": base},
            network="none",
            mend="the step that failed is named below",
            on_line=show_steps(progress),
        )
    progress("writing its bill of materials")
    ensure_bill(inputs.tag, engine=engine, cache_dir=cache_dir)
    progress(f"built {inputs.tag}")


@contextlib.contextmanager
def _sole_builder(cache_dir: Path, progress: Progress) -> Iterator[None]:
    """Let one build at a time use the cache; the others wait, and find the image made."""
    try:
        cache_dir.mkdir(parents=True, exist_ok=True, mode=0o755)
        lock = (cache_dir / "build.lock").open("wb")
    except OSError as error:
        raise ImageBuildError(
            f"cannot write to the cache directory {cache_dir}: {error.strerror}; name another"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another build to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _check_space(cache_dir: Path, engine: Engine) -> None:
    for directory in (cache_dir, engine.root_directory()):
        try:
            free = shutil.disk_usage(directory).free
        except OSError:  # an engine of another machine, or a directory that is not ours to see
            continue
        if free < FREE_BYTES:
            raise ImageBuildError(
                f"{free / 1024**3:.1f} GB free at {directory}, a build needs "
                f"{FREE_BYTES / 1024**3:.0f} GB; free some, or move it to a larger disk"
            )
