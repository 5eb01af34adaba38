"""Each command's help is a sentence, an example that can be typed, and explained options."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.main import get_command

from hakoiri.cli.main import app

HEADING = re.compile(r"^ *Examples?:", re.MULTILINE)
NOT_AS_DATA = {
    "serve": "it runs",
    "proxy": "it runs",
    "docker-guard": "it runs",
    "service": "it runs",
    "audit export": "each line is JSON, always",
    "policy preset bedrock": "a policy in the form of the one that it is added to",
    "policy preset anthropic": "the same",
    "policy preset packages": "the same",
}
"""Commands without -o json, and why."""


def commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name in group.list_commands(None):
        found = group.get_command(None, name)
        where = f"{path} {name}".strip()
        if hasattr(found, "list_commands"):
            yield from commands(found, where)
        else:
            yield where, found


ALL = dict(commands(get_command(app)))


def examples_of(help_text: str) -> list[str]:
    """Return the lines below the heading, comments off."""
    found = HEADING.search(help_text)
    if found is None:
        return []
    lines = [line.strip() for line in help_text[found.end() :].splitlines()]
    return [line for line in lines if line]


def calls_of(line: str) -> list[list[str]]:
    """Return the words of each call of ours in a line of shell; `ValueError` for what is none."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|><&;")
    lexer.whitespace_split = True
    calls: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("|><&;"):
            calls.append([])
        else:
            calls[-1].append(word)
    calls += [inner.split() for inner in re.findall(r"\$\((hakoiri [^)]*)\)", line)]
    ours = []
    for call in calls:
        while call and re.fullmatch(r"[A-Z_]+=\S*", call[0]):
            call.pop(0)
        if call[:1] == ["hakoiri"]:
            ours.append(call[1:])
    return ours


def why_not(words: list[str]) -> str | None:
    """Return why these words cannot be typed; None if they can. Nothing is run."""
    try:
        group: Any = get_command(app)
        context = group.make_context("hakoiri", list(words))
        while hasattr(group, "resolve_command"):
            name, command, rest = group.resolve_command(
                context, [*context._protected_args, *context.args]
            )
            context = command.make_context(name, rest, parent=context)
            group = command
    except typer.Exit:
        return None
    except typer.TyperException as error:
        return str(error)
    return None


@pytest.mark.parametrize("path", ALL)
def test_the_help_begins_with_a_sentence(path: str) -> None:
    first = ALL[path].help.strip().split("\n\n")[0]
    sentence = " ".join(first.split())
    assert sentence[0].isupper()
    assert sentence.endswith("."), sentence
    assert len(sentence) < 160


@pytest.mark.parametrize("path", ALL)
def test_there_is_an_example_of_the_command_that_can_be_typed(path: str) -> None:
    examples = examples_of(ALL[path].help)
    assert examples, "no example"
    for line in examples:
        assert calls_of(line) or line.startswith("openssl "), line
    calls = [call for line in examples for call in calls_of(line)]
    assert any(" ".join(call).startswith(path) for call in calls)
    for call in calls:
        assert why_not(call) is None, call


@pytest.mark.parametrize("path", ALL)
def test_each_option_and_argument_is_explained(path: str) -> None:
    for parameter in ALL[path].params:
        told = getattr(parameter, "help", None)
        assert told, parameter.name
        assert told.endswith((".", ")")), told


@pytest.mark.parametrize("path", ALL)
def test_the_answer_can_be_had_as_data(path: str) -> None:
    options = {name for parameter in ALL[path].params for name in parameter.opts}
    assert ({"-o", "--output", "--json"} <= options) == (path not in NOT_AS_DATA)


def test_the_check_of_examples_finds_what_is_wrong() -> None:
    assert why_not(["convrsation"]) is not None
    assert why_not(["conversation", "lst"]) is not None
    assert why_not(["conversation", "list", "--josn"]) is not None
    assert why_not(["workspace", "exec"]) is not None
    assert why_not(["pool", "set", "--min", "many"]) is not None
    assert why_not(["pool", "set", "--min", "2"]) is None
    assert calls_of("A=1 hakoiri serve   # x") == [["serve"]]
    assert calls_of("tar c | hakoiri files put w-1 - x > y") == [["files", "put", "w-1", "-", "x"]]
    assert calls_of('hakoiri files list "$(hakoiri workspace create)"')[1:] == [
        ["workspace", "create"]
    ]
    assert len(ALL) > 45
