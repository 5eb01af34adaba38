"""Where a secret could have come to, and the search for it: one function for each kind of place."""

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

CHUNK_BYTES: Final = 1 << 20
NEEDLE_LIMIT_BYTES: Final = 4096


def file_holds(path: Path, needle: bytes) -> bool:
    """Whether the bytes are in a file; it is read in pieces, and no device is opened."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return stream_holds(iter(lambda: file.read(CHUNK_BYTES), b""), [needle]) != []
    except OSError:
        return False


def tree_holds(directory: Path, needle: bytes) -> list[Path]:
    """Return the files below a directory that hold the bytes; links are not followed."""
    found = (path for path in directory.rglob("*") if not path.is_symlink())
    return [path for path in found if file_holds(path, needle)]


def stream_holds(chunks: Iterable[bytes], needles: Iterable[bytes]) -> list[bytes]:
    """Return which needles are in a stream, also where one lies across two of its pieces."""
    missing, found, rest = list(needles), [], b""
    for chunk in chunks:
        text = rest + chunk
        found += [needle for needle in missing if needle in text]
        missing = [needle for needle in missing if needle not in text]
        rest = text[-NEEDLE_LIMIT_BYTES:]
    return found


def process_holds(pid: int, needles: Iterable[bytes]) -> list[bytes]:
    """Search a process's environment and command line; nothing if it is gone."""
    texts = []
    for name in ("environ", "cmdline"):
        try:
            texts.append(Path(f"/proc/{pid}/{name}").read_bytes())
        except OSError:
            continue
    return stream_holds(texts, needles)


def command_holds(command: list[str], needles: Iterable[bytes]) -> list[bytes]:
    """Search all that a command prints."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        output = process.stdout
        return stream_holds(iter(lambda: output.read(CHUNK_BYTES), b""), needles)
