"""The list of each workspace's recovery points, beginning with the newest."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table; what is known of the newest points is taken from the workspaces."""
    op.create_table(
        "recovery_points",
        sa.Column("workspace_id", sa.String(63), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("id", sa.String(63), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_number", sa.BigInteger, nullable=False),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("files", sa.Integer),
        sa.Column("file_bytes", sa.BigInteger),
        sa.Column("reason", sa.String(16), nullable=False),
        sa.Column("kept", sa.Boolean, nullable=False),
        sa.Column("parent", sa.String(63)),
        sa.PrimaryKeyConstraint("workspace_id", "number", name="pk_recovery_points"),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name="fk_recovery_points_workspace_id",
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint("workspace_id", "id", name="uq_recovery_points_workspace_id_id"),
    )
    op.execute(
        "INSERT INTO recovery_points"
        " (workspace_id, number, id, created_at, event_number, turn, generation, reason, kept)"
        " SELECT w.id, 1, w.head_recovery_point, CURRENT_TIMESTAMP, w.head_event_number,"
        " coalesce(c.turn, 0), w.head_generation, 'earlier', false"
        " FROM workspaces w LEFT JOIN conversations c ON c.workspace_id = w.id"
        " WHERE w.head_recovery_point IS NOT NULL"
    )
