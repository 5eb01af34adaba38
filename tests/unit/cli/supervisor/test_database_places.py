from pathlib import Path

import pytest

from hakoiri.cli.supervisor.database_places import database_directories, database_paths


@pytest.mark.parametrize(
    ("url", "written", "seen"),
    [
        (None, (), ()),
        ("sqlite:////data/x/hakoiri.db?timeout=1", ("/data/x",), ()),
        ("sqlite+aiosqlite:////data/hakoiri.db", ("/data",), ()),
        ("postgresql://db.example.test/hakoiri", (), ()),
        ("postgresql:///hakoiri?host=/run/postgresql", (), ("/run/postgresql",)),
        ("postgresql:///hakoiri?host=%2Frun%2Fpg", (), ("/run/pg",)),
        (
            "postgresql+asyncpg://me@db.example.test/hakoiri?passfile=/etc/hakoiri-db/pgpass",
            (),
            ("/etc/hakoiri-db/pgpass",),
        ),
        ("postgresql:///hakoiri?host=relative&passfile=too", (), ()),
    ],
)
def test_the_server_sees_what_its_database_needs_and_no_more(
    url: str | None, written: tuple[str, ...], seen: tuple[str, ...]
) -> None:
    assert database_directories(url) == tuple(Path(path) for path in written)
    assert database_paths(url) == tuple(Path(path) for path in seen)
