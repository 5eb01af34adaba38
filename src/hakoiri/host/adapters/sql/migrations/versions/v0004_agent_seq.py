"""How far the agent of a running turn was heard, so that a server that comes back reads on."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column; no turn runs while a database is opened by a new version."""
    op.add_column(
        "conversations",
        sa.Column("agent_seq", sa.BigInteger, nullable=False, server_default="0"),
    )
