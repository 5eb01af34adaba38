import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import anyio
import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory
from tests.integration.sql.conftest import conversation

from hakoiri.host.adapters.sql.conversation_store import SqlConversationStore
from hakoiri.host.adapters.sql.database import DatabaseError, NewerDatabaseError, open_database
from hakoiri.host.adapters.sql.migration import known_schemas

pytestmark = pytest.mark.anyio

NEWEST = known_schemas()[-1]
BACK_BEFORE_0007 = (
    "ALTER TABLE claims DROP COLUMN is_filled",
    "UPDATE alembic_version SET version_num = '0006'",
)


def names_in(directory: Path, word: str) -> list[str]:
    return [path.name for path in directory.iterdir() if word in path.name]


async def make_old(url: str) -> None:
    """A database as the release before 0007 left it."""
    opened = await open_database(url)
    await SqlConversationStore(opened).create(conversation("a"))
    async with opened.writing() as connection:
        for statement in BACK_BEFORE_0007:
            await connection.exec_driver_sql(statement)
    await opened.close()


async def set_schema(url: str, name: str) -> None:
    opened = await open_database(url)
    async with opened.writing() as connection:
        version = sa.table("alembic_version", sa.column("version_num"))
        await connection.execute(sa.update(version).values(version_num=name))
    await opened.close()


async def schema_of(url: str) -> str:
    opened = await open_database(url)
    async with opened.reading() as connection:
        found = await connection.exec_driver_sql("SELECT version_num FROM alembic_version")
        name: str = found.scalar_one()
    await opened.close()
    return name


async def test_a_database_that_a_newer_version_has_used_is_refused_with_the_mend(url: str) -> None:
    await set_schema(url, "9999")
    with pytest.raises(NewerDatabaseError) as refused:
        await open_database(url)
    said = str(refused.value)
    assert "schema 9999" in said
    assert f"knows none after {NEWEST}" in said
    assert "docs/operations/upgrade.md" in said


def test_the_names_of_the_migrations_are_the_schemas_in_their_order() -> None:
    config = Config()
    config.set_main_option("script_location", "hakoiri.host.adapters.sql:migrations")
    scripts = ScriptDirectory.from_config(config).walk_revisions()
    assert [script.revision for script in scripts] == known_schemas()[::-1]


async def test_a_start_with_nothing_to_do_does_not_load_what_does_it(tmp_path: Path) -> None:
    script = """
import sys
from anyio import run
from hakoiri.host.adapters.sql.database import open_database

async def main():
    await (await open_database(sys.argv[1])).close()
    print("alembic" in sys.modules)

run(main)
"""
    said = []
    for _ in range(2):
        done = await anyio.run_process(
            [sys.executable, "-c", script, f"sqlite:///{tmp_path}/h.sqlite"],
            env={"PYTHONPATH": ":".join(sys.path)},
        )
        said.append(done.stdout.decode().strip())
    assert said == ["True", "False"]


async def test_an_old_database_is_brought_up_to_date(url: str) -> None:
    await make_old(url)
    assert await schema_of(url) == NEWEST


async def test_a_copy_from_before_the_change_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/h.sqlite"
    await make_old(url)
    assert await schema_of(url) == NEWEST
    copy = tmp_path / f"h.sqlite.before-{NEWEST}"
    assert copy.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(copy)) as old:
        assert old.execute("SELECT version_num FROM alembic_version").fetchall() == [("0006",)]
        assert old.execute("SELECT id FROM conversations").fetchall() == [("c-a",)]
        assert "is_filled" not in {row[1] for row in old.execute("PRAGMA table_info(claims)")}
    assert not names_in(tmp_path, "partial")


async def test_the_copy_is_a_database_to_go_on_with(tmp_path: Path) -> None:
    await make_old(f"sqlite:///{tmp_path}/h.sqlite")
    assert await schema_of(f"sqlite:///{tmp_path}/h.sqlite") == NEWEST
    (tmp_path / "h.sqlite").unlink()
    (tmp_path / f"h.sqlite.before-{NEWEST}").rename(tmp_path / "back.sqlite")
    again = await open_database(f"sqlite:///{tmp_path}/back.sqlite")
    found = await SqlConversationStore(again).get(tenant="default", conversation_id="c-a")
    await again.close()
    assert found.id == "c-a"


async def test_nothing_is_copied_when_nothing_is_changed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/h.sqlite"
    for _ in range(2):
        await (await open_database(url)).close()
    assert not names_in(tmp_path, "before")


async def test_without_a_copy_nothing_is_changed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/h.sqlite"
    await make_old(url)
    os.mkdir(tmp_path / f"h.sqlite.before-{NEWEST}.partial")  # noqa: PTH102 - where it would go
    with pytest.raises(DatabaseError, match="was not changed"):
        await open_database(url)
    with closing(sqlite3.connect(tmp_path / "h.sqlite")) as found:
        assert found.execute("SELECT version_num FROM alembic_version").fetchall() == [("0006",)]
