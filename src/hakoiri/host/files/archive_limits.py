"""What an archive that is to be unpacked may hold, and how its names are read. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from hakoiri.host.files.paths import PathError, check_path, parent_of, reported
from hakoiri.host.files.ports import FilesError

RATIO_LIMIT: Final = 200
"""Plain bytes for each byte of the archive; deflate cannot do more than 1032, text does 4 to 20."""

RATIO_FROM_BYTES: Final = 8 * 1024 * 1024
"""A small archive of nothing but zeros is no bomb."""

TOLD_LIMIT: Final = 20
"""Members named in a report."""


class ArchiveRefusedError(FilesError):
    """The archive is not taken, and nothing of it; the message names the member and why."""


@dataclass(frozen=True, slots=True)
class ImportLimits:
    """Bounds of one archive, all of it decoded: members, bytes of one file and of all, levels."""

    members: int
    file_bytes: int
    total_bytes: int
    depth: int


@dataclass(frozen=True, slots=True)
class SpooledFile:
    """A regular file of an archive: where its bytes lie in the spool."""

    path: bytes
    mode: int
    offset: int
    size: int
    sha256: str


@dataclass(slots=True)
class Contents:
    """All of an archive, decoded and checked. `left_out` counts what is neither file nor folder."""

    files: list[SpooledFile] = field(default_factory=list)
    folders: list[bytes] = field(default_factory=list)
    left_out: int = 0
    left_out_names: list[str] = field(default_factory=list)

    @property
    def file_bytes(self) -> int:
        """The sum of all files' sizes."""
        return sum(file.size for file in self.files)

    def leave_out(self, name: bytes, what: str) -> None:
        """Count a link, a device or the like, which is not made."""
        self.left_out += 1
        if len(self.left_out_names) < TOLD_LIMIT:
            self.left_out_names.append(f"{reported(name)}: {what}")


class Names:
    """The paths that an archive has named so far; each may be one thing once."""

    def __init__(self, limits: ImportLimits) -> None:
        self._limits = limits
        self._files: set[bytes] = set()
        self._folders: set[bytes] = set()
        self._members = 0

    def count(self) -> None:
        """Count a member, whatever it is."""
        self._members += 1
        if self._members > self._limits.members:
            raise ArchiveRefusedError(
                f"the archive has more than {self._limits.members} members; split it"
            )

    def take(self, name: bytes, *, is_folder: bool) -> bytes | None:
        """Return a member's path; None for the archive's own root.

        Raises `ArchiveRefusedError` for a name that leads out, is too long or deep, or was there.
        """
        raw = name.rstrip(b"/") if is_folder else name
        while raw.startswith(b"./"):
            raw = raw[2:]
        if raw in (b"", b".") and is_folder:
            return None
        try:
            path = check_path(raw)
        except PathError as error:
            raise ArchiveRefusedError(f"{reported(name)!r}: {error}") from error
        if path.count(b"/") >= self._limits.depth:
            raise ArchiveRefusedError(
                f"{reported(path)!r}: deeper than {self._limits.depth} levels"
            )
        if path in self._files or (not is_folder and path in self._folders):
            raise ArchiveRefusedError(f"{reported(path)!r}: twice in the archive")
        for folder in _above(path):
            if folder in self._files:
                raise ArchiveRefusedError(f"{reported(path)!r}: below a file of the archive")
            self._folders.add(folder)
        (self._folders if is_folder else self._files).add(path)
        return path


def check_ratio(plain_bytes: int, archive_bytes: int) -> None:
    """Raise `ArchiveRefusedError` for what becomes absurdly more than it was."""
    if plain_bytes > RATIO_FROM_BYTES and plain_bytes > RATIO_LIMIT * max(archive_bytes, 1):
        raise ArchiveRefusedError(
            f"the archive becomes more than {RATIO_LIMIT} times as large as it is; "
            "unpack it in the box"
        )


def _above(path: bytes) -> Iterable[bytes]:
    parent = parent_of(path)
    while parent:
        yield parent
        parent = parent_of(parent)
