"""What is printed is harmless, and there is one way to print."""

import ast
from pathlib import Path

import pytest

from hakoiri.cli.screen import complain, remark, say, show_json

CLI = Path(__file__).parents[3] / "src/hakoiri/cli"
HOSTILE = "a\x1b[2Jb\u202ec\udcff"
SHOWN = r"a\x1b[2Jb\x202ec\xdcff"

OWN_WAYS = {
    "screen.py": "the one way",
    "live_screen.py": "the one way, with colours",
    "supervisor/answers.py": "a program of its own, which prints only what it was started with",
    "supervisor/enter.py": "the same",
}
"""Files that may print by themselves, and why."""

RAW_BYTES = {
    "command_run.py": "cleans for a terminal, passes bytes on into a pipe",
    "files.py": "a file's bytes, to who asks for them with -",
    "audit.py": "lines of the audit log, which are ASCII",
    "command_input.py": "reads",
}
"""Files that may use a standard stream's bytes, and why."""

PRINTING = {"echo", "secho", "print"}


def ways_of_printing(source: str) -> list[str]:
    """Return the calls of a file that print, but those of the screen's own functions."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        text = ast.unparse(node.func)
        if text in {"typer.echo", "typer.secho", "print", "Console", "click.echo"} or (
            text.startswith(("sys.stdout.", "sys.stderr.")) and text.endswith((".write", "lines"))
        ):
            found.append(text)
    return found


def sources() -> dict[str, str]:
    return {str(path.relative_to(CLI)): path.read_text() for path in CLI.rglob("*.py")}


@pytest.mark.parametrize("name", sorted(set(sources()) - set(OWN_WAYS)))
def test_no_other_file_prints_by_itself(name: str) -> None:
    ways = [way for way in ways_of_printing(sources()[name]) if ".buffer." not in way]
    assert ways == []


def test_only_these_use_the_bytes_of_a_standard_stream() -> None:
    using = {name for name, source in sources().items() if ".buffer" in source}
    assert using - set(OWN_WAYS) == {name for name in RAW_BYTES if name in using}


def test_the_search_for_other_ways_finds_them() -> None:
    assert ways_of_printing("typer.echo(x)\nprint(y)\nsys.stderr.write(z)\nConsole()") == [
        "typer.echo",
        "print",
        "sys.stderr.write",
        "Console",
    ]
    assert set(OWN_WAYS) <= set(sources())


def test_answers_and_remarks_are_cleaned(capsys: pytest.CaptureFixture[str]) -> None:
    say(HOSTILE)
    say(HOSTILE, end="")
    remark(HOSTILE)
    told = capsys.readouterr()
    assert told.out == f"{SHOWN}\n{SHOWN}"
    assert told.err == f"{SHOWN}\n"


def test_a_complaint_is_one_line_that_names_the_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    complain("files get", f"first\n  second {HOSTILE}\r\nhakoiri: forged")
    complain("", "no server")
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == (
        f"hakoiri files get: first second {SHOWN} hakoiri: forged\nhakoiri: no server\n"
    )


def test_json_stays_json_whatever_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    show_json({"path": HOSTILE})
    out = capsys.readouterr().out
    assert out.isascii()
    assert ast.literal_eval(out.strip()) == {"path": HOSTILE}
