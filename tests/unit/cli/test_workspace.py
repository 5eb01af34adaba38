import pytest
from typer.testing import CliRunner

from hakoiri.cli.main import app

RUNNER = CliRunner()


@pytest.mark.parametrize("command", ["create", "exec", "kill"])
def test_help_has_examples(command: str) -> None:
    told = RUNNER.invoke(app, ["workspace", command, "--help"])
    assert told.exit_code == 0
    assert "Example" in told.output


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["exec", "w-1"], "command"),
        (["exec", "w-1", "--env", "A", "--", "true"], "write NAME=VALUE"),
        (["exec", "w-1", "ls", "-l"], "-l"),
        (["kill", "w-1", "--files", "maybe"], "maybe"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(arguments: list[str], why: str) -> None:
    told = RUNNER.invoke(app, ["workspace", *arguments])
    assert told.exit_code == 2
    assert why in told.output


def test_without_a_server_it_fails_with_the_mend() -> None:
    told = RUNNER.invoke(
        app, ["workspace", "exec", "w-1", "--url", "http://127.0.0.1:1", "--", "true"]
    )
    assert told.exit_code == 1
    assert "start one with `hakoiri serve`" in told.output
