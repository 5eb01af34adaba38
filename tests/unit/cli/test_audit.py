import json
import shutil
from pathlib import Path

import pytest
from tests.unit.audit.chains import AT, an_event, lines, write
from typer.testing import CliRunner

from hakoiri.audit.chain import Position
from hakoiri.audit.event import AuditEvent, EventKind
from hakoiri.audit.keeper import Keeper, load_or_make_key
from hakoiri.audit.writer import ChainWriter
from hakoiri.cli.main import app


def nothing(event: str, **fields: object) -> None:
    del event, fields


class Log:
    """An instance's audit log with two chains and a keeper."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("server", "proxy", "keeper", "heads"):
            (root / name).mkdir()
        for name, count in (("server", 3), ("proxy", 1)):
            writer = ChainWriter(root / name, chain=name, version="1", now=lambda: AT)
            with writer as log:
                for number in range(count):
                    log.tell(an_event(number))
        self.sign()

    def sign(self) -> None:
        chains = {name: self.root / name for name in ("server", "proxy")}
        keeper = self.root / "keeper"
        Keeper(
            directory=self.root / "heads",
            chains=chains,
            key=load_or_make_key(keeper),
            tell=nothing,
            now=lambda: AT,
        ).step()

    def run(self, *arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["audit", *arguments, "--dir", str(self.root)])
        return done.exit_code, done.output


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def test_what_is_sound_verifies_and_tells_how_far_it_is_signed(log: Log) -> None:
    code, said = log.run("verify")
    assert code == 0
    assert "server: 5 lines are as they were written; heads signed up to line 5" in said
    code, said = log.run("verify", "--json", "--chain", "proxy")
    assert json.loads(said) == {
        "chains": [{"chain": "proxy", "begins": 1, "lines": 3, "signed": 3, "broken": None}]
    }


def test_what_is_broken_is_named_and_the_exit_code_says_so(log: Log) -> None:
    write(log.root / "proxy", lines(2))
    code, said = log.run("verify")
    assert code == 1
    assert "proxy: BROKEN: line 3 is missing at the end: a head of them was signed" in said
    assert "server: 5 lines are as they were written" in said


def test_a_log_without_its_first_files_is_broken_unless_that_was_meant(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    write(tmp_path / "server", lines(3, start=Position(4, "a" * 64)), first=5)
    runner, directory = CliRunner(), ["--unsigned", "--dir", str(tmp_path)]
    broken = runner.invoke(app, ["audit", "verify", *directory])
    assert broken.exit_code == 1
    assert "lines 1 to 4 are missing" in broken.output
    meant = runner.invoke(app, ["audit", "verify", "--pruned", *directory])
    assert meant.exit_code == 0
    assert "3 lines from line 5 on" in meant.output


def test_the_newest_of_all_chains_are_shown(log: Log) -> None:
    code, said = log.run("tail", "-n", "4")
    assert code == 0
    assert len(said.splitlines()) == 4
    assert log.run("tail", "-n", "0") == (0, "")


def test_what_a_line_holds_forges_no_other(log: Log) -> None:
    with ChainWriter(log.root / "proxy", chain="proxy", version="1", now=lambda: AT) as chain:
        forged = "laptop\n2026-01-01T00:00:00.000Z operator#9 key_revoked"
        chain.tell(AuditEvent(kind=EventKind.KEY_CREATED, details={"name": forged}))
    code, said = log.run("search", "--event", "key_created")
    assert (code, len(said.splitlines())) == (0, 1)


def test_what_is_looked_for_is_found_as_lines_or_as_data(log: Log) -> None:
    code, said = log.run("search", "--event", "turn_started", "--workspace", "w2")
    assert code == 0
    assert len(said.splitlines()) == 1
    assert "turn_started tenant=acme workspace=w2 turn=2" in said
    _, data = log.run("search", "--event", "turn_started", "--json")
    assert [json.loads(line)["unmapped"]["event"] for line in data.splitlines()] == [
        "turn_started"
    ] * 4


def test_an_export_is_the_lines_as_they_are(log: Log) -> None:
    code, said = log.run("export", "--chain", "server")
    assert code == 0
    (path,) = (log.root / "server").glob("*.jsonl")
    assert said.encode() == path.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "mend"),
    [
        (("search", "--since", "yesterday"), "15m"),
        (("tail", "--chain", "nobody"), "server, proxy, guard, operator"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_mend(
    log: Log, arguments: tuple[str, ...], mend: str
) -> None:
    code, said = log.run(*arguments)
    assert code == 2
    assert mend in said


def test_a_directory_without_a_log_is_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["audit", "tail", "--dir", str(tmp_path)])
    assert done.exit_code == 2
    assert "there is no audit log" in done.output


def test_a_missing_key_is_told(log: Log) -> None:
    (log.root / "keeper" / "public.pem").unlink()
    code, said = log.run("verify")
    assert code == 1
    assert "public.pem" in said


def copied(log: Log, to: Path) -> tuple[Path, Path]:
    """Return a copy as it is shipped, and one of the public key."""
    copy = to / "copy"
    for name in ("server", "proxy", "heads"):
        shutil.copytree(log.root / name, copy / name)
    return copy, Path(shutil.copy(log.root / "keeper" / "public.pem", to / "kept.pem"))


def verify(copy: Path, key: Path, *more: str) -> tuple[int, str]:
    arguments = ["audit", "verify", "--dir", str(copy), "--key", str(key), *more]
    done = CliRunner().invoke(app, arguments)
    return done.exit_code, done.output


@pytest.fixture
def copy_and_key(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "log").mkdir()
    return copied(Log(tmp_path / "log"), tmp_path)


def test_a_copy_is_checked_by_its_own_heads_and_a_key_from_elsewhere(
    copy_and_key: tuple[Path, Path],
) -> None:
    copy, key = copy_and_key
    code, said = verify(copy, key)
    assert code == 0
    assert "server: 5 lines are as they were written; heads signed up to line 5" in said


def test_a_sound_chain_that_was_written_anew_is_found_in_the_copy_alone(
    copy_and_key: tuple[Path, Path],
) -> None:
    copy, key = copy_and_key
    write(copy / "server", lines(5))
    code, said = verify(copy, key)
    assert code == 1
    assert "server: BROKEN: line 5 is not the one whose head was signed" in said
    unsigned = CliRunner().invoke(app, ["audit", "verify", "--dir", str(copy), "--unsigned"])
    assert unsigned.exit_code == 0, "the chain alone is sound"


def test_a_copy_of_which_a_whole_chain_is_gone_is_broken(copy_and_key: tuple[Path, Path]) -> None:
    copy, key = copy_and_key
    shutil.rmtree(copy / "proxy")
    code, said = verify(copy, key)
    assert code == 1
    assert "proxy: BROKEN" in said


def test_a_copy_may_be_behind_by_what_was_said_and_no_more(
    copy_and_key: tuple[Path, Path],
) -> None:
    copy, key = copy_and_key
    (path,) = (copy / "server").glob("*.jsonl")
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    code, said = verify(copy, key)
    assert code == 1
    assert "lines 3 to 5 are missing at the end" in said
    assert verify(copy, key, "--behind", "1m")[0] == 1
    code, said = verify(copy, key, "--behind", "36500d")
    assert code == 0, said
    assert "heads signed up to line 0" in said
    assert verify(copy, key, "--behind", "soon")[0] == 2


def test_a_copy_without_heads_vouches_for_nothing(copy_and_key: tuple[Path, Path]) -> None:
    copy, key = copy_and_key
    shutil.rmtree(copy / "heads")
    code, said = verify(copy, key)
    assert code == 1
    assert "there are no signed heads" in said
