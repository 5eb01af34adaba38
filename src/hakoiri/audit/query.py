"""What is asked of the audit log from outside, purely: a closed question, and where a page ends.

A page's end is handed out sealed: it tells how many lines each chain has, which is other tenants'
affair. It is good for who got it, and as long as the reader that made it lives.
"""

import base64
import binascii
import json
import os
from dataclasses import dataclass, field
from typing import Annotated, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from hakoiri.audit.event import EventKind
from hakoiri.audit.search import Wanted

PAGE_LIMIT: Final = 200
QUESTION_LIMIT_BYTES: Final = 8192
CURSOR_LIMIT_CHARS: Final = 1024
EVENTS_LIMIT: Final = 32
_TIME_LIMIT_MS: Final = 1 << 53
_NONCE_BYTES: Final = 12
_KEY_BITS: Final = 256

Name = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[\x20-\x7e]+$")]


class BadCursorError(ValueError):
    """The text is no end of a page that this reader gave this tenant."""


class AuditQuery(BaseModel):
    """What a line must have. `tenant` None means all, also what is no tenant's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant: Name | None = None
    events: list[EventKind] = Field(default=[], max_length=EVENTS_LIMIT)
    workspace: Name | None = None
    container: Name | None = None
    conversation: Name | None = None
    text: Name | None = None
    since_ms: int | None = Field(default=None, ge=0, le=_TIME_LIMIT_MS)
    until_ms: int | None = Field(default=None, ge=0, le=_TIME_LIMIT_MS)
    failed_only: bool = False
    limit: int = Field(default=50, ge=1, le=PAGE_LIMIT)
    before: str | None = Field(default=None, max_length=CURSOR_LIMIT_CHARS)

    def wanted(self) -> Wanted:
        """Return the question as the search has it."""
        return Wanted(
            events=frozenset(kind.value for kind in self.events),
            tenant=self.tenant,
            workspace=self.workspace,
            container=self.container,
            conversation=self.conversation,
            text=self.text,
            since_ms=self.since_ms,
            until_ms=self.until_ms,
            failed_only=self.failed_only,
        )


@dataclass(frozen=True, slots=True)
class CursorSeal:
    """Seals ends of pages with a key that nobody else has (AES-GCM, SP 800-38D)."""

    key: bytes = field(default_factory=lambda: AESGCM.generate_key(_KEY_BITS), repr=False)

    def seal(self, below: dict[str, int], *, tenant: str | None) -> str:
        """Return the text; `below` has the number of the last line that was seen, by chain."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(self.key).encrypt(nonce, json.dumps(below).encode(), _bound_to(tenant))
        return base64.urlsafe_b64encode(nonce + sealed).decode("ascii")

    def open(self, text: str, *, tenant: str | None) -> dict[str, int]:
        """Return what was sealed for the tenant. Raises `BadCursorError`."""
        try:
            raw = base64.b64decode(text, altchars=b"-_", validate=True)
            nonce, sealed = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
            opened = AESGCM(self.key).decrypt(nonce, sealed, _bound_to(tenant))
        except (binascii.Error, ValueError, InvalidTag) as error:
            raise BadCursorError("before is no end of a page of this reader; begin anew") from error
        return {str(name): int(number) for name, number in json.loads(opened).items()}


def _bound_to(tenant: str | None) -> bytes:
    return b"all" if tenant is None else b"tenant:" + tenant.encode()
