import pytest
from typer.testing import CliRunner

from hakoiri.cli.main import app


@pytest.mark.parametrize(
    ("command", "rest", "told"),
    [
        ("", "convrsation", "no such command 'convrsation', did you mean 'conversation'"),
        ("", "xyzzy", "no such command 'xyzzy'"),
        ("workspace", "exce", "no such command 'exce', did you mean 'exec'"),
        ("conversation list", "--josn", "no such option: --josn (Possible options: --json)"),
        ("workspace exec", "", "missing argument 'workspace'"),
    ],
)
def test_a_mistake_in_the_words_is_one_line_and_exit_code_2(
    command: str, rest: str, told: str
) -> None:
    result = CliRunner().invoke(app, [*command.split(), *rest.split()])
    path = f"hakoiri {command}".strip()
    assert result.exit_code == 2
    assert result.stderr == f"{path}: {told}; see `{path} --help`\n"
    assert result.stdout == ""


@pytest.mark.parametrize(
    "words", [["pool", "set", "--min", "x"], ["pool", "set", "--runtime", "x"]]
)
def test_a_value_that_is_none_names_the_option(words: list[str]) -> None:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"hakoiri pool set: invalid value for '{words[2]}': ")
    assert result.stderr.count("\n") == 1


def test_a_noun_alone_tells_its_commands() -> None:
    result = CliRunner().invoke(app, ["pool"])
    assert result.exit_code == 2
    assert "Change the pool" in result.output
