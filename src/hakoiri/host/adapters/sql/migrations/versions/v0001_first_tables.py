"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TIME = sa.DateTime(timezone=True)
ID = sa.String(63)


def upgrade() -> None:
    """Make the tables of the first release."""
    _workspaces()
    _conversations()
    _events()
    _claims()
    _policies()
    _api_keys()


def _workspaces() -> None:
    op.create_table(
        "workspaces",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant", ID, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False, server_default="0"),
        sa.Column("session_id", sa.String(64)),
        sa.Column("head_recovery_point", ID),
        sa.Column("head_generation", sa.Integer),
        sa.Column("head_event_number", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_workspaces"),
    )


def _conversations() -> None:
    op.create_table(
        "conversations",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant", ID, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("workspace_id", ID),
        sa.Column("policy", ID, nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("running", sa.Boolean, nullable=False),
        sa.Column("last_event", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_conversations"),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="fk_conversations_workspace_id"
        ),
        sa.UniqueConstraint("workspace_id", name="uq_conversations_workspace_id"),
    )
    op.create_index(
        "ix_conversations_tenant_created_at_id", "conversations", ["tenant", "created_at", "id"]
    )
    op.create_index("ix_conversations_tenant_policy", "conversations", ["tenant", "policy"])
    op.create_index("ix_conversations_running", "conversations", ["running"])


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("conversation_id", ID, nullable=False),
        sa.Column("id", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("conversation_id", "id", name="pk_events"),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
            name="fk_events_conversation_id",
            ondelete="CASCADE",
        ),
    )


def _claims() -> None:
    op.create_table(
        "claims",
        sa.Column("container_id", ID, nullable=False),
        sa.Column("workspace_id", ID, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("container_id", name="pk_claims"),
        sa.UniqueConstraint("workspace_id", name="uq_claims_workspace_id"),
    )


def _policies() -> None:
    op.create_table(
        "policies",
        sa.Column("tenant", ID, nullable=False),
        sa.Column("name", ID, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name", name="pk_policies"),
    )


def _api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant", ID, nullable=False),
        sa.Column("name", sa.String(4096), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("revoked_at", TIME),
        sa.Column("secret_hash", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
    )
    op.create_index("ix_api_keys_tenant", "api_keys", ["tenant"])
