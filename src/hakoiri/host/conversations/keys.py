"""API keys: made once, shown once, stored as a hash.

A key is `hk_<id>_<secret>`. The secret is 256 random bits, so its SHA-256 suffices: a slow hash is
for what people choose, where a guess can hit; no guess hits one in 2^256, and a slow hash would let
strangers burn our processor time (OWASP Password Storage Cheat Sheet tells of passwords alone).
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from hakoiri.audit.allowance import RefusalLines
from hakoiri.audit.event import AuditEvent, Detail, EventKind
from hakoiri.audit.writer import AuditLog, NoAuditLog
from hakoiri.host.conversations.model import ApiKey
from hakoiri.host.conversations.ports import ConversationsError, KeyStore

SECRET_BYTES: Final = 32
KEY_ID: Final = re.compile(r"[0-9a-f]{16}")
KEY_FORM: Final = re.compile(r"hk_([0-9a-f]{16})_([0-9a-f]{64})")
_NOBODY: Final = "0" * 16
_NO_HASH: Final = bytes(32)


class NoSuchKeyError(ConversationsError):
    """There is no such key, or it is another tenant's."""


class KeyRing:
    """Makes, checks and revokes keys."""

    def __init__(
        self, *, store: KeyStore, clock: Callable[[], datetime], audit: AuditLog | None = None
    ) -> None:
        self._audit = audit or NoAuditLog()
        self._strangers = RefusalLines()
        self._known = RefusalLines()
        self._store = store
        self._clock = clock

    async def create_key(self, *, name: str, tenant: str) -> tuple[ApiKey, str]:
        """Make a key; the text of it is returned here and never again."""
        key = ApiKey(
            id=secrets.token_hex(8),
            tenant=tenant,
            name=name,
            created_at=self._clock(),
            revoked_at=None,
        )
        secret = secrets.token_hex(SECRET_BYTES)
        await self._store.add_key(key, secret_hash=_hash(secret))
        self._tell(EventKind.KEY_CREATED, key)
        return key, f"hk_{key.id}_{secret}"

    async def authenticate(self, authorization: str | None) -> str | None:
        """Return the tenant that an `Authorization: Bearer` header speaks for, or None.

        An unknown or malformed key costs the same look-up and comparison as a wrong one.
        Raises `StoreError`.
        """
        scheme, _, text = (authorization or "").partition(" ")
        form = KEY_FORM.fullmatch(text.strip())
        key_id, secret = form.groups() if form else (_NOBODY, "")
        found = await self._store.find_key(key_id)
        key, expected = found or (None, _NO_HASH)
        is_right = hmac.compare_digest(_hash(secret), expected)
        if key is None or not is_right or key.revoked_at or scheme.lower() != "bearer":
            self._tell_refused(key_id if form else None, found[0] if found else None)
            return None
        return key.tenant

    def _tell_refused(self, key_id: str | None, known: ApiKey | None) -> None:
        """Audit a failed login: which key was named, whose it is, and never what was sent.

        Whoever reaches the server can fail, so there is a bound; the next line tells how many more.
        Strangers have one of their own, so as not to hide who tries a key that there is.
        """
        left_out = (self._known if known else self._strangers).take()
        if left_out is None:
            return
        reason = "no key"
        if key_id is not None:
            reason = "wrong or revoked key" if known else "unknown key"
        self._audit.tell(
            AuditEvent(
                kind=EventKind.LOGIN_FAILED,
                succeeded=False,
                tenant=known.tenant if known else None,
                actor=f"key:{key_id}" if key_id else None,
                details={"reason": reason, **({"left_out": left_out} if left_out else {})},
            )
        )

    async def list_keys(self, *, tenant: str | None) -> Sequence[ApiKey]:
        """List keys of one tenant, or of all."""
        return await self._store.keys(tenant=tenant)

    async def revoke_key(self, key_id: str, *, tenant: str | None) -> None:
        """Revoke a key of the tenant, or of any; `NoSuchKeyError`."""
        found = await self._store.find_key(key_id) if KEY_ID.fullmatch(key_id) else None
        if found is None or tenant not in (None, found[0].tenant):
            raise NoSuchKeyError("there is no such key")
        await self._store.revoke_key(key_id, now=self._clock())
        self._tell(EventKind.KEY_REVOKED, found[0])

    def _tell(self, kind: EventKind, key: ApiKey) -> None:
        named: dict[str, Detail] = {"key": key.id, "name": key.name}
        self._audit.tell(AuditEvent(kind=kind, tenant=key.tenant, details=named))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
