"""Named policies in SQL."""

from collections.abc import Sequence

import sqlalchemy as sa

from hakoiri.host.adapters.sql.database import Database
from hakoiri.host.adapters.sql.schema import policies, workspaces
from hakoiri.host.conversations.ports import NoSuchPolicyError
from hakoiri.wire.policy import Policy


class SqlPolicyStore:
    """`PolicyStore` in SQL. Raises `DatabaseError` (a `StoreError`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get_policy(self, *, tenant: str, name: str) -> Policy:
        """Return it; `NoSuchPolicyError`."""
        query = sa.select(policies.c.document).where(
            policies.c.tenant == tenant, policies.c.name == name
        )
        async with self._database.reading() as connection:
            document = await connection.scalar(query)
        if document is None:
            raise NoSuchPolicyError(f"there is no policy {name!r}; `hakoiri policy set` makes it")
        return Policy.model_validate_json(document)

    async def set_policy(self, *, tenant: str, name: str, policy: Policy) -> None:
        """Create or replace it."""
        mine = (policies.c.tenant == tenant) & (policies.c.name == name)
        async with self._database.writing() as connection:
            await connection.execute(sa.delete(policies).where(mine))
            await connection.execute(
                sa.insert(policies).values(
                    tenant=tenant, name=name, document=policy.model_dump_json()
                )
            )

    async def delete_policy(self, *, tenant: str, name: str) -> None:
        """Forget it; nothing happens if there is none."""
        async with self._database.writing() as connection:
            await connection.execute(
                sa.delete(policies).where(policies.c.tenant == tenant, policies.c.name == name)
            )

    async def list_policies(self, *, tenant: str) -> dict[str, Policy]:
        """All of a tenant's policies by name."""
        query = (
            sa.select(policies.c.name, policies.c.document)
            .where(policies.c.tenant == tenant)
            .order_by(policies.c.name)
        )
        async with self._database.reading() as connection:
            return {
                row.name: Policy.model_validate_json(row.document)
                for row in await connection.execute(query)
            }

    async def workspaces_under(self, *, tenant: str, name: str) -> Sequence[str]:
        """Ids of the workspaces that are under the policy."""
        query = sa.select(workspaces.c.id).where(
            workspaces.c.tenant == tenant, workspaces.c.policy == name
        )
        async with self._database.reading() as connection:
            return list(await connection.scalars(query))
