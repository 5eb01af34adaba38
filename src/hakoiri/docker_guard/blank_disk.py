"""An empty ext4 file system, made once by `mke2fs` and then written as often as it is needed.

What `mke2fs` writes is some hundred KiB, whatever the size: kept in memory, a disk of a new box
takes a file, a few writes and no process. There is no journal: a box's files are thrown away with
it, also after a crash, and what is to be kept of them is in recovery points.
"""

import os
import shutil
import subprocess
import threading
from dataclasses import dataclass
from typing import Final

MIB: Final = 1024 * 1024
BLOCK_BYTES: Final = 4096
GROUP_BYTES: Final = 128 * MIB
"""One bitmap's worth of blocks (ext4(5): 8 blocks for each byte of a block)."""

INODE_BYTES: Final = 256
"""With room for times to the nanosecond, which recovery points keep."""

INODES_A_BLOCK: Final = BLOCK_BYTES // INODE_BYTES
FEATURES: Final = (
    "none,filetype,extent,dir_index,large_file,huge_file,flex_bg,dir_nlink,extra_isize,"
    "sparse_super,metadata_csum"
)
"""Named in full, so that no host's mke2fs.conf decides; no journal, nothing kept to grow into."""

SYSTEM_DIRECTORIES: Final = "/usr/sbin:/sbin:/usr/bin:/bin"
TIMEOUT_S: Final = 60.0


class FormatError(Exception):
    """No blank disk can be made; the message says why and the mend."""


@dataclass(frozen=True, slots=True)
class Blank:
    """A file system that holds nothing: its size, and the few blocks of it that are not zeros."""

    size_bytes: int
    pieces: tuple[tuple[int, bytes], ...]

    def write_to(self, file: int) -> None:
        """Make an empty open file this disk. Raises `OSError`."""
        os.ftruncate(file, self.size_bytes)
        for offset, piece in self.pieces:
            written = os.pwrite(file, piece, offset)
            if written != len(piece):
                raise OSError(f"wrote {written} of {len(piece)} bytes of a disk")


class BlankDisks:
    """Blanks by size, each made when it is first asked for. Used from several threads."""

    def __init__(self) -> None:
        """Nothing is made yet."""
        self._made: dict[tuple[int, int], Blank] = {}
        self._lock = threading.Lock()

    def of(self, *, size_bytes: int, inodes: int) -> Blank:
        """Return the blank of this size, with at most so many inodes. Raises `FormatError`."""
        with self._lock:
            if (size_bytes, inodes) not in self._made:
                self._made[size_bytes, inodes] = _format(
                    size_bytes, inodes_at_most(size_bytes, inodes)
                )
            return self._made[size_bytes, inodes]


def inodes_at_most(size_bytes: int, inodes: int) -> int:
    """Return the largest number not over `inodes` that fills every group's table evenly.

    `mke2fs` would round up.
    """
    groups = -(-size_bytes // GROUP_BYTES)
    return max(1, inodes // groups // INODES_A_BLOCK) * INODES_A_BLOCK * groups


def find_program(name: str) -> str | None:
    """Return where a program of e2fsprogs is, the system's own directories included."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SYSTEM_DIRECTORIES}")


def _format(size_bytes: int, inodes: int) -> Blank:
    file = os.memfd_create("blank-disk")
    try:
        os.ftruncate(file, size_bytes)
        options = ["-q", "-F", "-b", str(BLOCK_BYTES), "-I", str(INODE_BYTES), "-m", "0"]
        options += ["-N", str(inodes), "-O", FEATURES]
        # the zeros of the file are the tables; the kernel must not write them again
        options += ["-E", "lazy_itable_init=1,nodiscard"]
        _run("mke2fs", options, file)
        # what a workspace holds is the user's alone
        _run("debugfs", ["-w", "-R", "rmdir lost+found"], file)
        return Blank(size_bytes, tuple(_written(file)))
    except (OSError, subprocess.SubprocessError) as error:
        raise FormatError(f"cannot make a disk of {size_bytes} bytes: {error}") from error
    finally:
        os.close(file)


def _run(name: str, options: list[str], file: int) -> None:
    """Run one of the programs on the open file; raise `FormatError` with what it says."""
    program = find_program(name)
    if program is None:
        raise FormatError(f"there is no {name}; install the Debian package e2fsprogs")
    done = subprocess.run(  # noqa: S603 - a fixed program, no word of anybody else's
        [program, *options, f"/proc/self/fd/{file}"],
        env={"MKE2FS_CONFIG": os.devnull, "PATH": SYSTEM_DIRECTORIES, "LC_ALL": "C"},
        pass_fds=(file,),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[:500]
        raise FormatError(f"{name} cannot make a disk: {said}")


def _written(file: int) -> list[tuple[int, bytes]]:
    """Return the blocks that are not zeros, neighbours as one piece."""
    pieces: list[tuple[int, bytes]] = []
    for start, end in _data_ranges(file):
        for offset in range(start, end, BLOCK_BYTES):
            block = os.pread(file, BLOCK_BYTES, offset)
            if not block.strip(b"\0"):
                continue
            if pieces and pieces[-1][0] + len(pieces[-1][1]) == offset:
                pieces[-1] = (pieces[-1][0], pieces[-1][1] + block)
            else:
                pieces.append((offset, block))
    return pieces


def _data_ranges(file: int) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    end, size = 0, os.fstat(file).st_size
    while end < size:
        try:
            start = os.lseek(file, end, os.SEEK_DATA)
        except OSError:  # ENXIO: nothing but a hole up to the end (lseek(2))
            break
        end = os.lseek(file, start, os.SEEK_HOLE)
        ranges.append((start // BLOCK_BYTES * BLOCK_BYTES, end))
    return ranges
