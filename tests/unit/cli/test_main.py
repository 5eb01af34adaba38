from typer.testing import CliRunner

from hakoiri.cli.main import app


def test_the_version_and_the_help_are_shown() -> None:
    version = CliRunner().invoke(app, ["--version"])
    assert version.exit_code == 0
    assert version.stdout.startswith("hakoiri ")

    shown = CliRunner().invoke(app, ["--help"])
    assert shown.exit_code == 0
    assert "Examples" in shown.stdout


def test_an_unknown_command_is_a_usage_error() -> None:
    assert CliRunner().invoke(app, ["no-such-noun"]).exit_code == 2
