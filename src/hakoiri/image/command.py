"""One command run to its end: bounded in time and output, failing with a clear error."""

import contextlib
import os
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from hakoiri.image.errors import ImageBuildError

TAIL_LINES: Final = 20
LINE_LIMIT_CHARS: Final = 2000
OUTPUT_LIMIT_BYTES: Final = 64 * 1024

OnLine = Callable[[str], None]


def run(
    arguments: Sequence[str],
    *,
    what: str,
    mend: str,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    on_line: OnLine | None = None,
) -> None:
    """Run a long command; each line it says goes to `on_line`.

    Raises `ImageBuildError`, with the last lines it said and the mend, if it cannot be started,
    fails, or takes longer than `timeout_s`.
    """
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    expired = threading.Event()
    try:
        process = subprocess.Popen(  # noqa: S603 - our own fixed commands, no shell
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, **(environment or {})},
            cwd=directory,
            start_new_session=True,
        )
    except OSError as error:
        raise ImageBuildError(
            f"{what}: cannot run {arguments[0]}: {error.strerror}; {mend}"
        ) from error

    def expire() -> None:
        expired.set()
        with contextlib.suppress(ProcessLookupError):
            # its whole session: a child of it would hold the pipe open
            os.killpg(process.pid, 9)

    timer = threading.Timer(timeout_s, expire)
    timer.start()
    try:
        with process:
            for line in _lines(process):
                tail.append(line)
                if on_line is not None:
                    on_line(line)
    except BaseException:
        expire()
        raise
    finally:
        timer.cancel()
    if expired.is_set():
        raise ImageBuildError(f"{what}: took longer than {timeout_s:g} s; {mend}")
    if process.returncode != 0:
        said = "\n".join(tail)
        raise ImageBuildError(f"{what}: failed ({process.returncode}); {mend}\n{said}")


def answer(
    arguments: Sequence[str],
    *,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
) -> str | None:
    """Return what a short command says, or None if it fails, hangs or cannot be started."""
    try:
        finished = subprocess.run(  # noqa: S603 - our own fixed commands, no shell
            arguments,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            env={**os.environ, **(environment or {})},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if finished.returncode != 0:
        return None
    return finished.stdout[:OUTPUT_LIMIT_BYTES].decode(errors="replace").strip()


def _lines(process: "subprocess.Popen[str]") -> Iterator[str]:
    if process.stdout is None:
        return
    while line := process.stdout.readline(LINE_LIMIT_CHARS):
        yield line.rstrip("\n")
