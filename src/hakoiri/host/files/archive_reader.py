"""Decodes an archive that somebody sent into a spool, in bounded memory, all of it or nothing.

The archive is hostile. Nothing of it is a path to a system call here: contents go one after the
other into one nameless file, and names are only compared. Python's `tarfile` and `zipfile` parse
it; they see it through a reader that goes forward only (tar) and refuses to hand out much at once,
so a header that claims gigabytes costs nothing. All of it runs in a worker thread.
"""

import gzip
import hashlib
import os
import stat
import sys
import tarfile
import zipfile
import zlib
from typing import IO, Final

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from hakoiri.host.files.archive_limits import (
    ArchiveRefusedError,
    Contents,
    ImportLimits,
    Names,
    SpooledFile,
    check_ratio,
)
from hakoiri.host.files.paths import reported
from hakoiri.host.files.ports import FilesError

AT_ONCE_BYTES: Final = 1024 * 1024
"""The most that a parser gets in one read of a tar; its own headers are far smaller."""

DIRECTORY_LIMIT_BYTES: Final = 8 * 1024 * 1024
"""Of a zip's list at its end, which has to be in memory."""

HEADERS_BYTES: Final = 4096
"""Of a tar, for each member beside its bytes: headers, long names, padding."""

NEW_FILE_MODE: Final = 0o644
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_TAR_MAGIC: Final = slice(257, 262)
_ENCRYPTED: Final = 0x1
_UNIX: Final = 3
_LOCAL_HEADER_BYTES: Final = 30

_BROKEN: Final = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zstd.ZstdError,
    zlib.error,
    gzip.BadGzipFile,
    EOFError,
    NotImplementedError,
    OSError,
    UnicodeError,
    ValueError,
    OverflowError,
    RuntimeError,
    RecursionError,
    KeyError,
    IndexError,
)
"""What the parsers say of an archive that is none."""


def unpack(source: int, size: int, spool: IO[bytes], limits: ImportLimits) -> Contents:
    """Decode the archive in the first `size` bytes of the open file `source` into `spool`.

    A zip, or a tar, plain or compressed by gzip or zstd: what it is its bytes say. Raises
    `ArchiveRefusedError`.
    """
    begin = os.pread(source, 512, 0)
    unpacking = _Unpacking(spool, limits)
    try:
        with os.fdopen(os.dup(source), "rb") as file:
            file.seek(0)
            if begin[:4] in _ZIP:
                unpacking.zip(file, size)
            elif begin[:2] == _GZIP:
                with gzip.GzipFile(fileobj=file) as plain:
                    unpacking.tar(plain, size)
            elif begin[:4] == _ZSTD:
                with zstd.ZstdFile(file) as plain:
                    unpacking.tar(plain, size)
            elif begin[_TAR_MAGIC] == b"ustar":
                unpacking.tar(file, size)
            else:
                raise ArchiveRefusedError("neither a zip nor a tar (plain, gzip or zstd)")
    except _BROKEN as error:
        raise ArchiveRefusedError(f"the archive is broken: {str(error)[:200]}") from error
    spool.flush()
    return unpacking.contents


class _Unpacking:
    """One archive on its way into the spool."""

    def __init__(self, spool: IO[bytes], limits: ImportLimits) -> None:
        self._spool = spool
        self._limits = limits
        self._names = Names(limits)
        self._total = 0
        self.contents = Contents()

    def tar(self, plain: "IO[bytes] | gzip.GzipFile | zstd.ZstdFile", size: int) -> None:
        reader = _Forward(plain, size, self._limits)
        archive = tarfile.TarFile(fileobj=reader, encoding="utf-8", errors="surrogateescape")  # type: ignore[arg-type]
        while (member := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # it would keep them all
            self._names.count()
            name = member.name.encode("utf-8", "surrogateescape")
            if member.isdir():
                self._folder(name)
            elif not member.isreg() or member.issparse():
                self.contents.leave_out(name, "neither a file nor a folder")
            else:
                content = archive.extractfile(member)
                if content is None:
                    raise ArchiveRefusedError(f"{reported(name)!r}: has no bytes")
                self._file(name, member.mode, member.size, content)

    def zip(self, file: IO[bytes], size: int) -> None:
        with zipfile.ZipFile(_Bounded(file)) as archive:
            members = archive.infolist()
            _check_apart(members)
            check_ratio(sum(one.file_size for one in members), size)
            for member in members:
                self._names.count()
                # as it stands in the file: the parser cuts at NUL
                name = member.orig_filename.encode("utf-8", "surrogateescape")
                unix_mode = member.external_attr >> 16 if member.create_system == _UNIX else 0
                if name.endswith(b"/"):
                    self._folder(name)
                elif stat.S_IFMT(unix_mode) not in (0, stat.S_IFREG):
                    self.contents.leave_out(name, "neither a file nor a folder")
                else:
                    _check_coding(member, name)
                    with archive.open(member) as content:
                        self._file(name, unix_mode, member.file_size, content)

    def _folder(self, name: bytes) -> None:
        path = self._names.take(name, is_folder=True)
        if path is not None:
            self.contents.folders.append(path)

    def _file(self, name: bytes, mode: int, size: int, content: IO[bytes]) -> None:
        path = self._names.take(name, is_folder=False)
        if path is None:
            return
        if size > self._limits.file_bytes:
            raise ArchiveRefusedError(
                f"{reported(path)!r}: has {size} bytes, over {self._limits.file_bytes}"
            )
        offset, digest, read_bytes = self._spool.tell(), hashlib.sha256(), 0
        while chunk := content.read(AT_ONCE_BYTES // 4):
            read_bytes += len(chunk)
            self._total += len(chunk)
            if read_bytes > size:
                raise ArchiveRefusedError(f"{reported(path)!r}: has more bytes than it says")
            if self._total > self._limits.total_bytes:
                raise ArchiveRefusedError(
                    f"the archive has more than {self._limits.total_bytes} bytes in all"
                )
            digest.update(chunk)
            self._keep(chunk)
        if read_bytes != size:
            raise ArchiveRefusedError(f"{reported(path)!r}: has fewer bytes than it says")
        permissions = mode & 0o777 or NEW_FILE_MODE
        self.contents.files.append(SpooledFile(path, permissions, offset, size, digest.hexdigest()))

    def _keep(self, chunk: bytes) -> None:
        try:
            self._spool.write(chunk)
        except OSError as error:  # not the archive's fault
            raise FilesError(f"the archive cannot be spooled: {error.strerror}") from error


class _Forward:
    """What `tarfile` reads from: forward only, little at once, and no more than limits allow."""

    def __init__(
        self,
        plain: "IO[bytes] | gzip.GzipFile | zstd.ZstdFile",
        archive_bytes: int,
        limits: ImportLimits,
    ) -> None:
        self._plain = plain
        self._archive_bytes = archive_bytes
        self._most = limits.total_bytes + (limits.members + 2) * HEADERS_BYTES
        self._at = 0

    def tell(self) -> int:
        return self._at

    def seek(self, place: int) -> int:
        if place < self._at:
            raise ArchiveRefusedError("the archive leads back into itself")
        while self._at < place and self.read(min(place - self._at, AT_ONCE_BYTES)):
            pass
        return self._at

    def read(self, wanted: int) -> bytes:
        if not 0 <= wanted <= AT_ONCE_BYTES:
            raise ArchiveRefusedError(f"a header of the archive claims {wanted} bytes")
        pieces = []
        while wanted and (piece := self._plain.read(wanted)):
            pieces.append(piece)
            wanted -= len(piece)
            self._at += len(piece)
        if self._at > self._most:
            raise ArchiveRefusedError("the archive is over the limit of bytes in all")
        check_ratio(self._at, self._archive_bytes)
        return b"".join(pieces)

    def close(self) -> None:
        """The file belongs to the caller."""


class _Bounded:
    """What `zipfile` reads from: a file that never hands out more than a list may be long."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, wanted: int = -1) -> bytes:
        content = self._file.read(
            min(wanted, DIRECTORY_LIMIT_BYTES + 1) if wanted >= 0 else (DIRECTORY_LIMIT_BYTES + 1)
        )
        if len(content) > DIRECTORY_LIMIT_BYTES:
            raise ArchiveRefusedError(
                f"the archive's list of members is over {DIRECTORY_LIMIT_BYTES} bytes; split it"
            )
        return content

    def seek(self, place: int, whence: int = 0) -> int:
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        """The file belongs to the caller."""


def _check_apart(members: "list[zipfile.ZipInfo]") -> None:
    """Refuse members that share bytes: a few kilobytes could become petabytes (Fifield, 2019)."""
    end = -1
    for member in sorted(members, key=lambda one: one.header_offset):
        if member.header_offset < end:
            raise ArchiveRefusedError("members of the zip overlap")
        end = member.header_offset + _LOCAL_HEADER_BYTES + member.compress_size


def _check_coding(member: zipfile.ZipInfo, name: bytes) -> None:
    if member.flag_bits & _ENCRYPTED:
        raise ArchiveRefusedError(f"{reported(name)!r}: is encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveRefusedError(f"{reported(name)!r}: is compressed in a way that is not taken")
