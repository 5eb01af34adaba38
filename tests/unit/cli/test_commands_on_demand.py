import subprocess
import sys

import pytest
from typer.testing import CliRunner

from hakoiri.cli.commands_on_demand import NOUNS, PROCESSES
from hakoiri.cli.main import app

ASK = """
import sys
from typer.testing import CliRunner
from hakoiri.cli.main import app
assert CliRunner().invoke(app, ["workspace", "exec", "--help"]).exit_code == 0
print(*(name for name in ("sqlalchemy", "fastapi", "cryptography") if name in sys.modules))
"""


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


def test_a_workspaces_command_loads_no_server() -> None:
    seen = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == ""
