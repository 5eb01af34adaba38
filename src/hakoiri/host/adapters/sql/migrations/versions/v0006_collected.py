"""Objects that leave the store, noted where the heads are."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the ledger of the store's collection."""
    op.create_table(
        "collected",
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("tenant", sa.String(63), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("key", name="pk_collected"),
    )
    op.create_index("ix_collected_tenant_state", "collected", ["tenant", "state"])
    op.create_index("ix_collected_state_since", "collected", ["state", "since"])
