"""The tables. What is written here is what the migrations make; a test compares the two.

Times are stored as UTC. JSON is stored as text, so that SQLite and PostgreSQL give back the same
bytes (PostgreSQL's `jsonb` refuses U+0000, which a tool may well print).
"""

from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime; SQLite keeps no zone, so it goes in and comes out as UTC."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware time into UTC; a naive one is a fault of the caller."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata: Final = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

workspaces: Final = sa.Table(
    "workspaces",
    metadata,
    sa.Column("id", sa.String(63), primary_key=True),
    sa.Column("tenant", sa.String(63), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False, server_default="0"),
    sa.Column("session_id", sa.String(64)),
    sa.Column("head_recovery_point", sa.String(63)),
    sa.Column("head_generation", sa.Integer),
    sa.Column("head_event_number", sa.BigInteger),
    sa.Column("policy", sa.String(63), nullable=False, server_default="default"),
    sa.Column("created_at", UtcDateTime),
    sa.Index(None, "tenant", "created_at", "id"),
    sa.Index(None, "tenant", "policy"),
)

conversations: Final = sa.Table(
    "conversations",
    metadata,
    sa.Column("id", sa.String(63), primary_key=True),
    sa.Column("tenant", sa.String(63), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("workspace_id", sa.String(63), sa.ForeignKey("workspaces.id"), unique=True),
    sa.Column("policy", sa.String(63), nullable=False),
    sa.Column("options", sa.Text, nullable=False),
    sa.Column("runtime", sa.String(16)),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("turn", sa.Integer, nullable=False),
    sa.Column("running", sa.Boolean, nullable=False),
    sa.Column("last_event", sa.BigInteger, nullable=False),
    sa.Column("agent_seq", sa.BigInteger, nullable=False, server_default="0"),
    sa.Index(None, "tenant", "created_at", "id"),
    sa.Index(None, "running"),
)

events: Final = sa.Table(
    "events",
    metadata,
    sa.Column(
        "conversation_id",
        sa.String(63),
        sa.ForeignKey("conversations.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("turn", sa.Integer, nullable=False),
    sa.Column("type", sa.String(32), nullable=False),
    sa.Column("time", UtcDateTime, nullable=False),
    sa.Column("size_bytes", sa.Integer, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
)

recovery_points: Final = sa.Table(
    "recovery_points",
    metadata,
    sa.Column(
        "workspace_id",
        sa.String(63),
        sa.ForeignKey("workspaces.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("id", sa.String(63), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("event_number", sa.BigInteger, nullable=False),
    sa.Column("turn", sa.Integer, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("files", sa.Integer),
    sa.Column("file_bytes", sa.BigInteger),
    sa.Column("reason", sa.String(16), nullable=False),
    sa.Column("kept", sa.Boolean, nullable=False),
    sa.Column("parent", sa.String(63)),
    sa.UniqueConstraint("workspace_id", "id"),
)

# No foreign key to workspaces: a claim says that a container exists, and must outlive a workspace
# that is deleted before its container is gone.
claims: Final = sa.Table(
    "claims",
    metadata,
    sa.Column("container_id", sa.String(63), primary_key=True),
    sa.Column("workspace_id", sa.String(63), nullable=False, unique=True),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("is_filled", sa.Boolean, nullable=False, server_default=sa.true()),
)

# The ledger of the store's collection (`files.collection_ports`); kept beside the heads, with which
# it changes in one transaction.
collected: Final = sa.Table(
    "collected",
    metadata,
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("tenant", sa.String(63), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("since", UtcDateTime, nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False, server_default="0"),
    sa.Index(None, "tenant", "state"),
    sa.Index(None, "state", "since"),
)

policies: Final = sa.Table(
    "policies",
    metadata,
    sa.Column("tenant", sa.String(63), primary_key=True),
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("document", sa.Text, nullable=False),
)

api_keys: Final = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.String(63), primary_key=True),
    sa.Column("tenant", sa.String(63), nullable=False),
    sa.Column("name", sa.String(4096), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("revoked_at", UtcDateTime),
    sa.Column("secret_hash", sa.LargeBinary(32), nullable=False),
    sa.Index(None, "tenant"),
)
