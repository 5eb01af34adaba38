import json
import time
from pathlib import Path

from typer.testing import CliRunner

from hakoiri.audit.shipping.status import ChainStatus, ShipStatus, TargetStatus
from hakoiri.audit.told_file import write_told
from hakoiri.cli.audit import app


def run(path: Path, *arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["ship", "status", "--file", str(path), *arguments])
    return done.exit_code, done.stdout, done.stderr


def told(directory: Path, *, error: str | None = None, age_s: float = 0) -> Path:
    path = directory / "status.json"
    target = TargetStatus(
        name="siem",
        kind="syslog",
        chains={"server": ChainStatus(sequence=7, waiting_bytes=50, missed_lines=1)},
        error=error,
    )
    write_told(path, ShipStatus(told_at=time.time() - age_s, targets=[target]))
    return path


def test_each_copy_is_shown(tmp_path: Path) -> None:
    code, shown, _ = run(told(tmp_path))
    assert code == 0
    assert "siem (syslog): well; 50 bytes wait" in shown
    assert "server: up to line 7; 50 bytes wait, 1 lines missed" in shown


def test_one_that_fails_or_does_not_run_is_an_exit_code(tmp_path: Path) -> None:
    code, shown, _ = run(told(tmp_path, error="server: away\x1b[2J"))
    assert code == 1
    assert "FAILING: server: away" in shown
    assert "\x1b" not in shown
    code, shown, _ = run(told(tmp_path, age_s=100))
    assert code == 1
    assert "does not run" in shown


def test_as_json(tmp_path: Path) -> None:
    code, shown, _ = run(told(tmp_path), "--json")
    assert code == 0
    document = json.loads(shown)
    assert document["targets"][0]["chains"]["server"]["sequence"] == 7
    assert document["told_seconds_ago"] < 30


def test_nothing_told_is_told_so(tmp_path: Path) -> None:
    code, _, complaint = run(tmp_path / "gone.json")
    assert code == 1
    assert "HAKOIRI_AUDIT__SHIP_FILE" in complaint
