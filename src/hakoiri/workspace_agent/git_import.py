"""Clones a repository in the box: aside, and moved to its place when it is whole.

Started as a command (see `hakoiri.wire.git_import`). It is killed when nobody waits for it any
more; what is left then lies in `IMPORT_DIRECTORY`, which is never saved, and goes with the next.
"""

import errno
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from hakoiri.wire.base64_text import decode
from hakoiri.wire.command_limits import WORKING_ROOT
from hakoiri.wire.git_import import (
    IMPORT_DIRECTORY,
    CloneDone,
    CloneFailed,
    CloneLine,
    CloneProgress,
    CloneRequest,
    FailureCode,
    GitSource,
)
from hakoiri.workspace_agent.git_command import commands, environment, git
from hakoiri.workspace_agent.git_words import GitWords

REQUEST_LIMIT_BYTES: Final = 64 * 1024
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TREE: Final = f"{IMPORT_DIRECTORY}/tree"
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)

Tell = Callable[[CloneProgress], None]


class CloneError(Exception):
    """Nothing was imported, for this reason."""

    def __init__(self, code: FailureCode, text: str) -> None:
        super().__init__(text)
        self.code: FailureCode = code


def main() -> None:
    """Read the request, clone, tell how it went; exit code 1 if nothing was imported."""
    try:
        request = CloneRequest.model_validate_json(sys.stdin.buffer.read(REQUEST_LIMIT_BYTES))
        commit = import_repository(request, Path(WORKING_ROOT), own=os.environ, tell=_tell)
    except ValidationError:
        _tell(CloneFailed(code="failed", text="the request is not as agreed"))
        sys.exit(1)
    except CloneError as error:
        _tell(CloneFailed(code=error.code, text=str(error)[:4000]))
        sys.exit(1)
    _tell(CloneDone(commit=commit))


def _tell(line: CloneLine) -> None:
    sys.stdout.write(line.model_dump_json() + "\n")
    sys.stdout.flush()


def import_repository(
    request: CloneRequest, workspace: Path, *, own: Mapping[str, str], tell: Tell
) -> str:
    """Clone into the target below `workspace`; return the commit. `CloneError` and nothing left."""
    path = decode(request.target)
    if shutil.which("git", path=own.get("PATH")) is None:
        raise CloneError("failed", "there is no git in the box's image")
    with _told(), _opened(workspace) as root:
        _check_target(root, path)
        _clear(root)
        os.mkdir(IMPORT_DIRECTORY, 0o700, dir_fd=root)
        try:
            commit = _clone(request.source, workspace, own=own, tell=tell)
            _move(root, path)
        finally:
            _clear(root)
    return commit


def _clone(source: GitSource, workspace: Path, *, own: Mapping[str, str], tell: Tell) -> str:
    given = environment(own, source)
    for command in commands(source, _TREE):
        _run(command, workspace, given, tell)
    head = git("-C", _TREE, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    done = subprocess.run(head, cwd=workspace, env=given, capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        raise CloneError("no-such-ref", "the repository has no commit")
    return done.stdout.decode("ascii", "replace").strip()


def _run(command: list[str], workspace: Path, given: Mapping[str, str], tell: Tell) -> None:
    words, is_full = GitWords(), False
    with subprocess.Popen(  # noqa: S603 - what is run is made of checked parts
        command,
        cwd=workspace,
        env=given,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        bufsize=0,
    ) as process:
        while process.stderr is not None and (raw := process.stderr.read(65536)):
            is_full = is_full or _is_full(workspace)  # git makes room before it ends
            for progress in words.take(raw):
                tell(progress)
    if process.returncode:
        code, text = words.failure()
        raise CloneError("no-space" if is_full else code, text)


def _is_full(workspace: Path) -> bool:
    """Whether the disk has no block or inode left, whatever git made of it."""
    disk = os.statvfs(workspace)
    return disk.f_bavail == 0 or disk.f_favail == 0


def _check_target(root: int, path: bytes) -> None:
    """See that the target is new, or a directory with nothing in it, and nothing is in its way."""
    *parents, name = path.split(b"/")
    with _descent(root, parents) as parent:
        if parent is None:
            return
        try:
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(found.st_mode):
            raise CloneError("target-in-use", "something else than a directory lies there")
        target = os.open(name, _DIRECTORY, dir_fd=parent)
        try:
            if os.listdir(target):  # noqa: PTH208 - of an open directory
                raise CloneError("target-in-use", "the directory is not empty")
        finally:
            os.close(target)


def _move(root: int, path: bytes) -> None:
    """Put the whole clone to its place in one step, with the directories on the way."""
    *parents, name = path.split(b"/")
    made: list[tuple[int, bytes]] = []
    with _descent(root, parents, made=made) as parent:
        try:
            os.rename(_TREE, name, src_dir_fd=root, dst_dir_fd=parent)
        except OSError:
            for above, directory in reversed(made):
                with suppress(OSError):
                    os.rmdir(directory, dir_fd=above)
            raise


@contextmanager
def _descent(
    root: int, names: list[bytes], *, made: list[tuple[int, bytes]] | None = None
) -> Iterator[int | None]:
    """Yield the directory, reached without following a link; with `made` it is made if need be."""
    opened = [root]
    try:
        for name in names:
            if made is not None:
                with suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=opened[-1])
                    made.append((opened[-1], name))
            try:
                opened.append(os.open(name, _DIRECTORY, dir_fd=opened[-1]))
            except FileNotFoundError:
                yield None
                return
        yield opened[-1]
    finally:
        for descriptor in opened[1:]:
            os.close(descriptor)


def _clear(root: int) -> None:
    """Remove what an import leaves, this one or one that was killed."""
    with suppress(OSError):
        shutil.rmtree(IMPORT_DIRECTORY, dir_fd=root)
    with suppress(OSError):
        os.unlink(IMPORT_DIRECTORY, dir_fd=root)


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, _DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _told() -> Iterator[None]:
    """Turn a system call's error into ours."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise CloneError("no-space", "no space is left") from error
        raise CloneError("target-in-use", f"the target cannot be used: {error.strerror}") from error


if __name__ == "__main__":
    main()
