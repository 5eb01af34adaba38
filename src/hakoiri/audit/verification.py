"""Is a log still what was written? Checks every line, and the signed heads against them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from hakoiri.audit.chain import (
    ChainError,
    Position,
    follow,
    missing_lines,
    previous_of,
    sequence_of,
)
from hakoiri.audit.segments import AuditFilesError, read_chain, segments

PUBLIC_KEY_NAME: Final = "public.pem"
KEY_LIMIT_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What was found of one chain. `broken` says what is wrong; None if nothing is.

    `begins` is above 1 where older files were taken away. `signed` is the number of the newest line
    that a signed head vouches for; lines after it are held by the chain alone.
    """

    chain: str
    begins: int
    lines: int
    signed: int
    broken: str | None = None


def load_public_key(path: Path) -> Ed25519PublicKey:
    """Read the key that heads are checked with; raise `AuditFilesError` if it is none."""
    try:
        with path.open("rb") as file:
            key = load_pem_public_key(file.read(KEY_LIMIT_BYTES))
    except OSError as error:
        raise AuditFilesError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise AuditFilesError(f"{path} holds no public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise AuditFilesError(f"{path} holds no public key of Ed25519")
    return key


def verify_chain(
    directory: Path, *, chain: str, heads: Mapping[int, str], reaches: int | None = None
) -> ChainReport:
    """Check one chain from its first file on; a log that cannot be read counts as broken.

    `heads` are the hashes that were signed, by number. It must reach to the line `reaches`; absent
    means to the newest of them.
    """
    check = _Check(heads, reaches=max(heads, default=0) if reaches is None else reaches)
    broken: str | None = None
    try:
        check.run(directory)
    except (ChainError, AuditFilesError) as error:
        broken = str(error)
    return ChainReport(
        chain=chain,
        begins=check.begins,
        lines=max(0, check.position.sequence - check.begins + 1),
        signed=check.signed,
        broken=broken,
    )


class _Check:
    def __init__(self, heads: Mapping[int, str], *, reaches: int) -> None:
        self._heads = heads
        self._reaches = reaches
        self.begins = 1
        self.signed = 0
        self.position = Position()

    def run(self, directory: Path) -> None:
        files = segments(directory)
        if files:
            self.begins = files[0].first
        for line in read_chain(directory):
            if self.position.sequence == 0 and self.begins > 1:
                self.position = self._before(line)
            self.position = follow(self.position, line)
            told = self._heads.get(self.position.sequence)
            if told is None:
                continue
            if told != self.position.hash:
                raise ChainError(
                    f"line {self.position.sequence} is not the one whose head was signed"
                )
            self.signed = self.position.sequence
        if self._reaches > self.position.sequence:
            raise ChainError(
                f"{missing_lines(self.position.sequence + 1, self._reaches)} at the end: "
                "a head of them was signed"
            )

    def _before(self, line: bytes) -> Position:
        """Where a log whose older files were taken away goes on, as a signed head has it."""
        position = Position(sequence_of(line) - 1, previous_of(line))
        told = self._heads.get(position.sequence)
        if told is not None and told != position.hash:
            raise ChainError(f"line {position.sequence} is not the one whose head was signed")
        return position
