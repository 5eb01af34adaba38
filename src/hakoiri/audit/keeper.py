"""The keeper: reads every chain as it grows, checks each line, and signs how far it got.

It takes nothing from anybody but the lines in the chains' files, which it reads by a group of its
own; nobody else can read its key or write its heads. A chain that does not go on from where it was
is told at once, and no head of it is signed any more.
"""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from hakoiri.audit.chain import ChainError, Position, hash_of
from hakoiri.audit.head_files import HeadFiles, read_signed_heads
from hakoiri.audit.heads import Head, HeadSigner
from hakoiri.audit.keeper_status import ChainSigned, KeeperStatus
from hakoiri.audit.segments import AuditFilesError, ChainReader, lines_of, open_segment, segments
from hakoiri.audit.told_file import write_told
from hakoiri.audit.verification import KEY_LIMIT_BYTES, PUBLIC_KEY_NAME

KEY_NAME: Final = "key.pem"
EVERY_S: Final = 20.0
"""Between two looks; a head is at most this old while its chain grows."""

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Teller(Protocol):
    """Tells what the keeper found."""

    def __call__(self, event: str, **fields: object) -> None:
        """Tell it."""


def load_or_make_key(directory: Path) -> Ed25519PrivateKey:
    """Return the installation's key, made at its first use, with its public half beside it.

    Raises `AuditFilesError` if what is there cannot be used.
    """
    path = directory / KEY_NAME
    try:
        if not path.exists():
            _make_key(directory)
        with path.open("rb") as file:
            key = load_pem_private_key(file.read(KEY_LIMIT_BYTES), password=None)
    except OSError as error:
        raise AuditFilesError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise AuditFilesError(f"{path} holds no private key; restore it from a backup") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise AuditFilesError(f"{path} holds no private key of Ed25519")
    return key


def _make_key(directory: Path) -> None:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _write_new(directory / PUBLIC_KEY_NAME, public, mode=0o644)
    _write_new(directory / KEY_NAME, private, mode=0o600)


def _write_new(path: Path, data: bytes, *, mode: int) -> None:
    """Write a file whole; it is there whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, _NEW, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)


class Keeper:
    """Signs heads of the chains. `chains` are their directories, by name."""

    def __init__(
        self,
        *,
        directory: Path,
        chains: Mapping[str, Path],
        key: Ed25519PrivateKey,
        tell: Teller,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Keep heads in `directory`; raise `ChainError` if those there are not this key's."""
        self._files = HeadFiles(directory)
        self._signer = HeadSigner(key)
        self._tell = tell
        self._now = now
        heads = read_signed_heads(directory, public=key.public_key())
        self._heads = {name: _newest(heads.get(name, {})) for name in chains}
        self._directories = dict(chains)
        self._readers: dict[str, ChainReader] = {}
        self._signed_at = dict.fromkeys(chains, now().timestamp())
        self.broken: dict[str, str] = {}

    @property
    def status(self) -> KeeperStatus:
        """How far each chain is signed, as of now."""
        chains = {
            name: ChainSigned(signed_at=at, is_broken=name in self.broken)
            for name, at in self._signed_at.items()
        }
        return KeeperStatus(told_at=self._now().timestamp(), chains=chains)

    def step(self) -> list[str]:
        """Look once at each chain; return those that got a new head. Raises `OSError`."""
        grown: list[bytes] = []
        names: list[str] = []
        signed: dict[str, float] = {}
        for name, directory in self._directories.items():
            if name in self.broken:
                continue
            looked_at = self._now().timestamp()
            position = self._look(name, directory) if directory.is_dir() else Position()
            if position is None or position.sequence < self._heads[name].sequence:
                continue  # also of a chain that was begun and is gone
            signed[name] = looked_at
            if position.sequence > self._heads[name].sequence:
                grown.append(self._signer.sign(name, position, at=self._now()))
                names.append(name)
                self._heads[name] = position
        if grown:
            self._files.append(grown)
        self._signed_at |= signed
        return names

    def _look(self, name: str, directory: Path) -> Position | None:
        try:
            reader = self._readers.get(name) or self._reader(name, directory)
            reader.advance()
        except ChainError as error:
            self.broken[name] = str(error)
            self._tell("audit_chain_broken", chain=name, reason=str(error))
            return None
        except AuditFilesError as error:
            self._tell("audit_chain_unreadable", chain=name, reason=str(error))
            return None
        return reader.position

    def _reader(self, name: str, directory: Path) -> ChainReader:
        """Begin to read where the newest head is: what is before was checked when it was signed."""
        reader = ChainReader(directory)
        head = self._heads[name]
        files = segments(directory)
        if head.sequence:
            holding = [one for one in files if one.first <= head.sequence]
            reader = ChainReader(directory, file=holding[-1] if holding else None)
            _go_to(reader, head)
        self._readers[name] = reader
        return reader


def _go_to(reader: ChainReader, head: Position) -> None:
    """Put the reader behind the line whose head was signed; raise `ChainError` if it is gone."""
    if reader.file is not None:
        with open_segment(reader.file) as file:
            for line in lines_of(file):
                reader.offset += len(line)
                reader.last_bytes = len(line)
                if hash_of(line) == head.hash:
                    reader.position = head
                    return
    raise ChainError(f"line {head.sequence}, whose head was signed, is gone or was changed")


def _newest(heads: Mapping[int, Head]) -> Position:
    if not heads:
        return Position()
    sequence = max(heads)
    return Position(sequence, heads[sequence].hash)


def keep(keeper: Keeper, *, is_stopping: Callable[[float], bool], status_file: Path) -> None:
    """Look again and again; `is_stopping` waits for so many seconds, or until there is an end.

    After each look `status_file` tells of it.
    """
    while True:
        began_s = time.monotonic()
        keeper.step()
        with suppress(OSError):  # signing goes on; that nothing is told any more is seen by its age
            write_told(status_file, keeper.status)
        if is_stopping(max(1.0, EVERY_S - (time.monotonic() - began_s))):
            keeper.step()
            return
