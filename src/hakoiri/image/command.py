"""One command run to its end: bounded in time and output, failing with a clear error."""

import contextlib
import os
import signal
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
    command = f"{what}: {arguments[0]}"
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
        raise ImageBuildError(f"{command} cannot be run: {error.strerror}; {mend}") from error
    expired = threading.Event()
    tail = _watch(process, timeout_s=timeout_s, expired=expired, on_line=on_line)
    if expired.is_set():
        raise ImageBuildError(f"{command} took longer than {timeout_s:g} s; {mend}")
    if process.returncode != 0:
        said = "\n".join(tail)
        raise ImageBuildError(f"{command} failed ({process.returncode}); {mend}\n{said}")


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


def _watch(
    process: subprocess.Popen[str],
    *,
    timeout_s: float,
    expired: threading.Event,
    on_line: OnLine | None,
) -> deque[str]:
    """Return the last lines it says, once it has ended or was killed after `timeout_s`."""
    tail: deque[str] = deque(maxlen=TAIL_LINES)

    def expire() -> None:
        expired.set()
        _kill_session(process)

    timer = threading.Timer(timeout_s, expire)
    timer.start()
    try:
        with process:
            try:
                for line in _lines(process):
                    tail.append(line)
                    if on_line is not None:
                        on_line(line)
            except BaseException:
                _kill_session(process)
                process.wait()
                raise
    finally:
        timer.cancel()
    return tail


def _kill_session(process: subprocess.Popen[str]) -> None:
    """Kill the command and its children, since each of them holds the pipe open."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    if process.stdout is None:
        return
    while line := process.stdout.readline(LINE_LIMIT_CHARS):
        yield line.rstrip("\n")
