"""What Alembic runs: it gets an open connection, inside the transaction of `open_database`."""

from alembic import context

from hakoiri.host.adapters.sql.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
