"""Plays the migrations that a database lacks, by Alembic."""

import logging

import sqlalchemy as sa
from alembic import command
from alembic.config import Config


def upgrade(connection: sa.Connection, newest: str) -> None:
    """Bring the schema to `newest`, within the connection's transaction, which writes."""
    config = Config()
    config.set_main_option("script_location", "hakoiri.host.adapters.sql:migrations")
    config.attributes["connection"] = connection
    logging.getLogger("alembic").setLevel(logging.WARNING)
    command.upgrade(config, newest)
