"""A folder of a recovery point as a zip file, made while it is sent.

In memory are at most a few packs, and for each entry the line that the zip's directory at its end
has of it (about 0.5 KB). Folders come first, then files, those of one pack together, so that each
pack is read once; all compressed, with mode and time. A recovery point's folder always gives the
same bytes. Symlinks are left out: they lead to where the box wanted, on the
computer of whoever unpacks. Names are canonical texts (`paths.text_of`), for a zip has no raw
bytes, and a backslash, which Windows takes for a slash, is `%5C`.
"""

import stat
import zipfile
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.packs import Pack
from hakoiri.host.files.paths import reported, text_of
from hakoiri.host.files.ports import NoSuchFileError, ObjectStore
from hakoiri.host.files.stored_bytes import StoredBytes
from hakoiri.host.files.worker_thread import run_in_thread

KEPT_PACKS: Final = 3
"""A few at hand: a file of several pieces ends in a pack that the next ones need, too."""

SMALL_BYTES: Final = 1024 * 1024
BATCH_FILES: Final = 256

_FIRST_TIME: Final = datetime(1980, 1, 1, tzinfo=UTC)
_LAST_TIME: Final = datetime(2107, 12, 31, 23, 59, 58, tzinfo=UTC)
"""What a zip can say of a time (APPNOTE 6.3.10, 4.4.6)."""

_NANOSECONDS: Final = 1_000_000_000
_DOS_DIRECTORY: Final = 0x10


@dataclass(frozen=True, slots=True)
class Folder:
    """What of a folder goes into a zip, and how many symlinks do not. Paths are whole ones."""

    path: bytes
    entries: tuple[Entry, ...]
    left_out: int

    @classmethod
    def of(cls, entries: Sequence[Entry], path: bytes) -> "Folder":
        """Return the folder at `path` of `/workspace`, all of it if empty; `NoSuchFileError`."""
        mine = [entry for entry in entries if entry.root == "workspace"]
        if path and not any(e.path == path and e.kind == "directory" for e in mine):
            raise NoSuchFileError(f"the newest recovery point has no folder {reported(path)!r}")
        prefix = path + b"/" if path else b""
        below = [entry for entry in mine if entry.path.startswith(prefix)]
        chosen = [entry for entry in below if entry.kind != "symlink"]
        return cls(path, tuple(_by_pack(chosen)), len(below) - len(chosen))

    def name_of(self, entry: Entry) -> str:
        """Return an entry's name in the zip, relative to the folder."""
        relative = entry.path[len(self.path) + 1 :] if self.path else entry.path
        return text_of(relative).replace("\\", "%5C")


def _by_pack(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Yield folders, then files by the pack that they begin in, as these first come."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.kind == "directory":
            yield entry
        else:
            first = entry.parts[0].pack.id if entry.parts else ""
            groups.setdefault(first, []).append(entry)
    for group in groups.values():
        yield from group


class KeptPacks(StoredBytes):
    """One tenant's bytes, the packs that were read last kept at hand."""

    def __init__(self, *, store: ObjectStore, tenant: str) -> None:
        super().__init__(store=store, tenant=tenant)
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    async def pack(self, pack: Pack, *, wanted_by: Entry) -> bytes:
        """Return a pack's plain bytes."""
        if pack.id not in self._kept:
            self._kept[pack.id] = await super().pack(pack, wanted_by=wanted_by)
            if len(self._kept) > KEPT_PACKS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(pack.id)
        return self._kept[pack.id]


async def zip_of(folder: Folder, stored: StoredBytes) -> AsyncIterator[bytes]:
    """Yield the zip; `DamagedError` names what cannot be read, and the zip has no end then."""
    drain = _Drain()
    archive = zipfile.ZipFile(drain, "w", zipfile.ZIP_DEFLATED)
    batch: list[tuple[zipfile.ZipInfo, bytes]] = []
    batch_bytes = 0
    for entry in folder.entries:
        about = _about(entry, folder.name_of(entry))
        if entry.size > SMALL_BYTES:
            await run_in_thread(partial(_write_all, archive, batch))
            batch, batch_bytes = [], 0
            async for piece in _large(archive, drain, about, stored.stream(entry)):
                yield piece
            continue
        content = b""
        if entry.size:
            content = b"".join([chunk async for chunk in stored.stream(entry)])
        batch.append((about, content))
        batch_bytes += len(content)
        if batch_bytes >= SMALL_BYTES or len(batch) == BATCH_FILES:
            await run_in_thread(partial(_write_all, archive, batch))
            batch, batch_bytes = [], 0
            for piece in drain.take():
                yield piece
    await run_in_thread(partial(_write_all, archive, batch))
    await run_in_thread(archive.close)
    for piece in drain.take():
        yield piece


class _Drain:
    """What a zip is written to; it cannot be sought, so the zip never looks back."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._waiting.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits elsewhere."""

    def close(self) -> None:
        """Nothing is open."""

    def take(self) -> Iterator[bytes]:
        """Yield what was written since, joined."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            yield b"".join(waiting)


async def _large(
    archive: zipfile.ZipFile,
    drain: _Drain,
    about: zipfile.ZipInfo,
    chunks: AsyncIterator[bytes],
) -> AsyncIterator[bytes]:
    member = archive.open(about, "w")
    async for chunk in chunks:
        await run_in_thread(partial(member.write, chunk))
        for piece in drain.take():
            yield piece
    await run_in_thread(member.close)
    for piece in drain.take():
        yield piece


def _write_all(archive: zipfile.ZipFile, batch: Sequence[tuple[zipfile.ZipInfo, bytes]]) -> None:
    for about, content in batch:
        archive.writestr(about, content)


def _about(entry: Entry, name: str) -> zipfile.ZipInfo:
    is_directory = entry.kind == "directory"
    # a time that is none in a zip is the nearest that is one
    seconds = entry.mtime_ns // _NANOSECONDS
    earliest, latest = int(_FIRST_TIME.timestamp()), int(_LAST_TIME.timestamp())
    time = datetime.fromtimestamp(min(max(seconds, earliest), latest), UTC)
    about = zipfile.ZipInfo(name + "/" * is_directory, time.timetuple()[:6])
    about.create_system = 3  # Unix: the mode is in the upper half of the attributes
    kind = stat.S_IFDIR if is_directory else stat.S_IFREG
    about.external_attr = (kind | entry.mode) << 16 | (_DOS_DIRECTORY if is_directory else 0)
    about.compress_type = zipfile.ZIP_STORED if is_directory else zipfile.ZIP_DEFLATED
    about.file_size = entry.size  # tells whether it needs the long form
    return about
