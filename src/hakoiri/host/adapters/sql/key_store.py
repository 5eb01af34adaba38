"""API keys in SQL; secrets as hashes only."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hakoiri.host.adapters.sql.database import Database
from hakoiri.host.adapters.sql.schema import api_keys
from hakoiri.host.conversations.model import ApiKey


class SqlKeyStore:
    """`KeyStore` in SQL. Raises `DatabaseError` (a `StoreError`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_key(self, key: ApiKey, *, secret_hash: bytes) -> None:
        """Store a key."""
        async with self._database.writing() as connection:
            await connection.execute(
                sa.insert(api_keys).values(
                    id=key.id,
                    tenant=key.tenant,
                    name=key.name,
                    created_at=key.created_at,
                    revoked_at=key.revoked_at,
                    secret_hash=secret_hash,
                )
            )

    async def keys(self, *, tenant: str | None) -> Sequence[ApiKey]:
        """List keys, of one tenant or of all, oldest first."""
        query = sa.select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id)
        if tenant is not None:
            query = query.where(api_keys.c.tenant == tenant)
        async with self._database.reading() as connection:
            return [_key(row) for row in await connection.execute(query)]

    async def find_key(self, key_id: str) -> tuple[ApiKey, bytes] | None:
        """Return a key and its secret's hash."""
        query = sa.select(api_keys).where(api_keys.c.id == key_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else (_key(row), row.secret_hash)

    async def revoke_key(self, key_id: str, *, now: datetime) -> bool:
        """Revoke; False if there is no such key. The first revocation's time stays."""
        query = (
            sa.update(api_keys)
            .where(api_keys.c.id == key_id)
            .values(revoked_at=sa.func.coalesce(api_keys.c.revoked_at, sa.literal(now)))
        )
        async with self._database.writing() as connection:
            return bool((await connection.execute(query)).rowcount)


def _key(row: sa.Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        tenant=row.tenant,
        name=row.name,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )
