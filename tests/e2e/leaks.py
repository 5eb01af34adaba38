"""What must be nowhere at a server's end: the secrets that its proxy had, and users' API keys.

They are no decoys: the proxy signs with them, and users call with them. A place that holds one is
told by its name and the secret's, never by the value.
"""

import base64
import errno
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

CHUNK_BYTES: Final = 1 << 22
NEEDLE_LIMIT_BYTES: Final = 4096
SHORTEST: Final = 8
"""Fewer characters are found by chance."""

API_KEY: Final = re.compile(rb"hk_[0-9a-f]{16}_[0-9a-f]{64}")
"""The form of every key (`hakoiri.host.conversations.keys`): kept as a hash alone."""

_SECRET: Final = re.compile(r"(SECRET|TOKEN|PASSWORD|CREDENTIAL|KEY)(?!_ID\b)")
_OURS: Final = re.compile(r"^HAKOIRI_(?!REHEARSAL_)")

Needles = Mapping[str, bytes]
"""Secrets by the names of their variables."""


def needles_of(environment: bytes) -> dict[str, bytes]:
    """Return the secrets among a process's variables, as `/proc/PID/environ` gives them."""
    found = {}
    for line in environment.split(b"\0"):
        name, _, value = line.decode(errors="replace").partition("=")
        if _SECRET.search(name) and not _OURS.search(name) and len(value) >= SHORTEST:
            found[name] = value.encode()
    return found


def held_by(chunks: Iterable[bytes], needles: Needles) -> set[str]:
    """Return the names of what is in a stream, as it is or in base 64; also across its pieces."""
    forms = [(name, form) for name, value in needles.items() for form in _forms(value)]
    found: set[str] = set()
    rest = b""
    for chunk in chunks:
        text = rest + chunk
        found |= {name for name, form in forms if form in text}
        if API_KEY.search(text):
            found.add("an API key")
        rest = text[-NEEDLE_LIMIT_BYTES:]
    return found


def _forms(value: bytes) -> tuple[bytes, bytes]:
    # where it begins a text that is encoded, as in a header; without the end, which depends on more
    encoded = base64.b64encode(value)
    return value, encoded[: len(value) // 3 * 4]


def leaks_in(places: Iterable[Path], needles: Needles) -> list[str]:
    """Search files, and directories with all below them; links are not followed."""
    return [
        f"{name} in {path}"
        for place in places
        for path in _files(place)
        for name in sorted(held_by(_data_of(path), needles))
    ]


def leaks_of_processes(pids: Iterable[int], needles: Needles) -> list[str]:
    """Search the environments and command lines of processes; those that are gone have none."""
    places = [Path(f"/proc/{pid}/{name}") for pid in pids for name in ("environ", "cmdline")]
    return [
        f"{name} in {place}"
        for place in places
        for name in sorted(held_by(_data_of(place), needles))
    ]


def leaks_of_containers(docker_host: str, label: str, needles: Needles) -> list[str]:
    """Search what the engine tells of each container with this label, and what each printed."""
    docker = ["docker", "--host", docker_host]
    listed = _printed([*docker, "ps", "--all", "--quiet", "--filter", f"label={label}"])
    return [
        f"{name} in docker {asked} {container}"
        for container in listed.decode().split()
        for asked in ("inspect", "logs")
        for name in sorted(held_by([_printed([*docker, asked, container])], needles))
    ]


def _printed(command: list[str]) -> bytes:
    """Return all that was printed; an engine that is away, or a container, tells nothing."""
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    ).stdout


def _files(place: Path) -> Iterator[Path]:
    if place.is_dir() and not place.is_symlink():
        for directory, _, names in os.walk(place):
            yield from (Path(directory, name) for name in names)
    else:
        yield place


def _data_of(path: Path) -> Iterator[bytes]:
    """Read what is in a file, without its holes; nothing of what is no file, or gone."""
    if path.is_symlink() or not path.is_file():
        return
    try:
        with path.open("rb", buffering=0) as file:
            while _is_at_data(file.fileno()) and (chunk := file.read(CHUNK_BYTES)):
                yield chunk
    except OSError:
        return


def _is_at_data(descriptor: int) -> bool:
    """Go past a hole; False where nothing but one follows. The kernel's own files have none."""
    shown = os.fstat(descriptor)
    if shown.st_blocks * 512 >= shown.st_size:
        return True
    try:
        os.lseek(descriptor, os.lseek(descriptor, 0, os.SEEK_CUR), os.SEEK_DATA)
    except OSError as error:
        return error.errno != errno.ENXIO
    return True
