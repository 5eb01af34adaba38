"""Whether a claimed container has its workspace's files, so that no half-filled one is adopted."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column; a container of an earlier version that is live counts as filled."""
    op.add_column(
        "claims",
        sa.Column("is_filled", sa.Boolean, nullable=False, server_default=sa.true()),
    )
