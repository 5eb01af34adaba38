"""Workspaces that belong to no conversation: they have a policy and an age of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns, and fill them from the conversations, which all workspaces had until now."""
    op.add_column(
        "workspaces",
        sa.Column("policy", sa.String(63), nullable=False, server_default="default"),
    )
    op.add_column("workspaces", sa.Column("created_at", sa.DateTime(timezone=True)))
    for column in ("policy", "created_at"):
        op.execute(
            f"UPDATE workspaces SET {column} = (SELECT {column} FROM conversations"  # noqa: S608 - of two names above
            " WHERE conversations.workspace_id = workspaces.id)"
            " WHERE id IN (SELECT workspace_id FROM conversations)"
        )
    op.create_index(
        "ix_workspaces_tenant_created_at_id", "workspaces", ["tenant", "created_at", "id"]
    )
    op.create_index("ix_workspaces_tenant_policy", "workspaces", ["tenant", "policy"])
    op.drop_index("ix_conversations_tenant_policy", "conversations")
