"""A conversation may ask for a container runtime."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column; conversations of before have no wish."""
    with op.batch_alter_table("conversations") as table:
        table.add_column(sa.Column("runtime", sa.String(16)))
