import subprocess
import sys
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from hakoiri.cli.commands_on_demand import NOUNS, PROCESSES, SUMMARIES
from hakoiri.cli.main import app

ASK = """
import sys
from typer.testing import CliRunner
from hakoiri.cli.main import app
code = CliRunner().invoke(app, sys.argv[1:]).exit_code
assert code == 0 or (code == 1 and "--help" not in sys.argv)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
STORES = {"sqlalchemy", "alembic", "botocore", "obstore", "redis"}
"""What speaks to databases and object stores."""

SERVER = STORES | {"fastapi", "starlette", "uvicorn", "aiohttp", "aiodocker"}
CLIENT_NEEDS_NONE = SERVER | {"cryptography", "pydantic_settings"}


def test_the_help_tells_every_word() -> None:
    told = CliRunner().invoke(app, ["--help"]).output
    assert all(word in told for word in (*PROCESSES, *NOUNS))


@pytest.mark.parametrize("word", [*PROCESSES, *NOUNS])
def test_every_word_has_help_under_its_own_name(word: str) -> None:
    for option in ("--help", "-h"):
        told = CliRunner().invoke(app, [word, option])
        assert told.exit_code == 0
        assert f"hakoiri {word}" in told.output


def test_a_word_that_is_none_is_a_usage_error() -> None:
    assert CliRunner().invoke(app, ["no-such-word"]).exit_code == 2


def loaded_by(*words: str) -> set[str]:
    seen = subprocess.run(
        [sys.executable, "-c", ASK, *words], capture_output=True, text=True, check=True
    )
    return set(seen.stdout.split())


@pytest.mark.parametrize("words", [("workspace", "exec"), ("files", "put"), ("pool", "show")])
def test_a_command_that_speaks_to_a_server_loads_none(words: tuple[str, ...]) -> None:
    assert loaded_by(*words, "--help") & CLIENT_NEEDS_NONE == set()


@pytest.mark.parametrize("words", [("key", "create"), ("backup", "create"), ("doctor",)])
def test_the_help_of_what_may_need_a_database_needs_none(words: tuple[str, ...]) -> None:
    assert loaded_by(*words, "--help") & SERVER == set()


@pytest.mark.parametrize("words", [("serve",), ("service",)])
def test_what_starts_the_server_has_no_use_for_its_stores(words: tuple[str, ...]) -> None:
    assert loaded_by(*words, "--help") & STORES == set()


def test_looking_at_this_host_needs_neither_stores_nor_a_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HAKOIRI_DOCKER_HOST", "unix:///nonexistent/docker.sock")
    assert loaded_by("doctor") & SERVER == set()


def test_running_commands_waits_for_no_models_and_no_colours() -> None:
    """They take longer than all else that `hakoiri workspace exec` loads."""
    asked = "import sys, hakoiri.cli.workspace; print(*sys.modules)"
    seen = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "hakoiri.cli.workspace" in seen
    assert {"pydantic", "rich", "hakoiri.wire.events"} & set(seen) == set()


def test_the_list_of_all_words_loads_none_of_them() -> None:
    assert loaded_by("--help") & CLIENT_NEEDS_NONE == set()


@pytest.mark.parametrize("word", [*PROCESSES, *NOUNS])
def test_the_list_tells_what_the_words_own_help_begins_with(word: str) -> None:
    group: Any = get_command(app)
    told = group.get_command(None, word).help
    assert " ".join(told.split()).startswith(SUMMARIES[word])
