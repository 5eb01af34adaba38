"""Signed heads: how far a chain was at some time, in a hand that its writer does not have; purely.

A head is one line of JSON. Its signature is Ed25519 (RFC 8032) over the line without it. A chain
that was rewritten, or cut before the newest head, does not have the hash that the head tells.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from hakoiri.audit.chain import ChainError, Position

HEAD_LIMIT_BYTES: Final = 1024


class Head(BaseModel):
    """How far a chain was. Times are in UTC, as ISO 8601."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    chain: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    sequence: int = Field(ge=1)
    hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    time: Annotated[str, StringConstraints(max_length=40)]


class SignedHead(Head):
    """A head with its signature, in base64."""

    signature: Annotated[str, StringConstraints(max_length=128)]


@dataclass(frozen=True, slots=True)
class HeadSigner:
    """Signs heads with a private key that never leaves its process."""

    key: Ed25519PrivateKey

    def sign(self, chain: str, position: Position, *, at: datetime) -> bytes:
        """Return the line, line break included."""
        head = Head(
            chain=chain, sequence=position.sequence, hash=position.hash, time=at.isoformat()
        )
        signature = base64.b64encode(self.key.sign(_signed_bytes(head))).decode()
        return _line({**head.model_dump(), "signature": signature})


def read_heads(lines: Iterable[bytes], *, public: Ed25519PublicKey) -> dict[str, dict[int, Head]]:
    """Return the heads, by chain and number. A torn last line is passed over.

    Raises `ChainError` for a line that is no head, that the key did not sign, or that contradicts
    another.
    """
    found: dict[str, dict[int, Head]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.endswith(b"\n"):
            break
        head = _read_head(line, number, public)
        told = found.setdefault(head.chain, {}).setdefault(head.sequence, head)
        if told.hash != head.hash:
            raise ChainError(f"head {number} contradicts an earlier one on {head.chain}")
    return found


def hashes_of(heads: Mapping[int, Head]) -> dict[int, str]:
    """Return the hash that each line must have, by its number."""
    return {number: head.hash for number, head in heads.items()}


def newest_of(heads: Mapping[int, Head], *, until: datetime | None = None) -> int:
    """Return the number of the newest line whose head was signed, until then; 0 if there is none.

    `until` is in UTC. A time that is none counts as long ago.
    """
    return max((number for number, head in heads.items() if _was_signed(head, until)), default=0)


def _was_signed(head: Head, until: datetime | None) -> bool:
    try:
        return until is None or datetime.fromisoformat(head.time) <= until
    except (ValueError, TypeError):  # the latter: a time without a zone
        return True


def _read_head(line: bytes, number: int, public: Ed25519PublicKey) -> SignedHead:
    try:
        head = SignedHead.model_validate_json(line)
        public.verify(base64.b64decode(head.signature, validate=True), _signed_bytes(head))
    except ValidationError:
        raise ChainError(f"head {number} is none") from None
    except (InvalidSignature, binascii.Error):
        raise ChainError(f"head {number} was not signed with this installation's key") from None
    return head


def _signed_bytes(head: Head) -> bytes:
    return _line({name: getattr(head, name) for name in Head.model_fields})


def _line(fields: dict[str, object]) -> bytes:
    return (json.dumps(fields, ensure_ascii=True, separators=(",", ":")) + "\n").encode()
