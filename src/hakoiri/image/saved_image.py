"""An image's layers, entry by entry, from the archive that `docker save` writes.

Both layouts are read: a directory a layer (engines up to 24), and blobs by digest (OCI image
layout, engines from 25 on). Nothing is unpacked.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final, Literal, Protocol, cast

from hakoiri.image.errors import ImageBuildError

_GZIP_MAGIC: Final = b"\x1f\x8b"
_TAR_MAGIC: Final = b"ustar"
_TAR_MAGIC_AT: Final = 257
_BLOCK_BYTES: Final = 512
_CAPABILITY: Final = "SCHILY.xattr.security.capability"
"""How a file's capabilities stand in a tar archive's extended header."""

Kind = Literal["file", "directory", "other", "about"]
"""What an entry is; `about` is the image's own description, which is in no layer."""


class Readable(Protocol):
    """What can be read once, from its beginning."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes; none at the end."""
        ...


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """One entry of a layer; `content`, of files alone, can be read until the next entry is asked.

    `path` has no leading slash; `mode` are the permission bits.
    """

    layer: str
    path: str
    kind: Kind
    mode: int
    has_capabilities: bool
    content: Readable | None


def read_saved_image(archive: IO[bytes]) -> Iterator[ImageEntry]:
    """Yield the entries of all layers, and the image's description.

    Raises:
        ImageBuildError: it is no such archive, breaks off, or holds no layer.
    """
    layers = 0
    try:
        with tarfile.open(fileobj=archive, mode="r|") as saved:
            for member in saved:
                content = saved.extractfile(member) if member.isfile() else None
                if content is None:
                    continue
                begun = _Begun(content)
                mode = _layer_mode(begun.head)
                if mode is None:
                    yield _about(member.name, begun)
                    continue
                layers += 1
                yield from _layer_entries(member.name, begun, mode)
    except tarfile.TarError as error:
        raise ImageBuildError(f"the saved image cannot be read: {error}") from error
    if layers == 0:
        raise ImageBuildError("the saved image holds no layer; is the name right?")


def read_file_system(archive: IO[bytes]) -> Iterator[ImageEntry]:
    """Yield the entries of the file system that `docker export` writes.

    Raises:
        ImageBuildError: it is no such archive, or breaks off.
    """
    try:
        yield from _layer_entries("", archive, "r|")
    except tarfile.TarError as error:
        raise ImageBuildError(f"the image's file system cannot be read: {error}") from error


def _about(name: str, content: Readable) -> ImageEntry:
    return ImageEntry(
        layer=name, path=name, kind="about", mode=0, has_capabilities=False, content=content
    )


def _layer_entries(
    layer: str, content: Readable, mode: Literal["r|", "r|gz"]
) -> Iterator[ImageEntry]:
    # tarfile asks for a whole file object, and reads a stream by `read` alone
    with tarfile.open(fileobj=cast("IO[bytes]", content), mode=mode) as entries:
        for entry in entries:
            yield ImageEntry(
                layer=layer,
                path=entry.name.removeprefix("./").lstrip("/"),
                kind="file" if entry.isfile() else "directory" if entry.isdir() else "other",
                mode=entry.mode & 0o7777,
                has_capabilities=_CAPABILITY in entry.pax_headers,
                content=entries.extractfile(entry) if entry.isfile() else None,
            )


def _layer_mode(head: bytes) -> Literal["r|", "r|gz"] | None:
    if head.startswith(_GZIP_MAGIC):
        return "r|gz"
    if head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + len(_TAR_MAGIC)] == _TAR_MAGIC:
        return "r|"
    return None


class _Begun:
    """A stream whose first block was looked at already."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content = content
        self.head = content.read(_BLOCK_BYTES)
        self._left = self.head

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, the first block's first."""
        if not self._left:
            return self._content.read(size)
        if size < 0:
            given, self._left = self._left, b""
            return given + self._content.read()
        given, self._left = self._left[:size], self._left[size:]
        return given + self._content.read(size - len(given)) if len(given) < size else given
