import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]

# Stands for both the system's Python and the one in .venv; says what it was asked to install.
STUB = """#!/bin/sh
here=$(dirname "$0")
case "$1 $2" in
  "-m venv") mkdir -p "$4/bin"; cp "$0" "$4/bin/python"; echo venv >>"$CALLS" ;;
  "-m pip") echo pip >>"$CALLS"
    [ -e "$FAIL" ] && { echo no such hash; exit 1; }
    printf '#!/bin/sh\\n' >"$here/hakoiri"; chmod +x "$here/hakoiri" ;;
  *) exec "$REAL" "$@" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copytree(REPOSITORY / "deployment" / "setup", tmp_path / "deployment" / "setup")
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "dev.txt").write_text("example==1 --hash=sha256:00\n")
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "python").write_text(STUB)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def run(checkout: Path) -> subprocess.CompletedProcess[str]:
    env = {
        **os.environ,
        "PYTHON": str(checkout / "python"),
        "REAL": sys.executable,
        "CALLS": str(checkout / "calls"),
        "FAIL": str(checkout / "fail"),
    }
    script = checkout / "deployment" / "setup" / "venv.sh"
    return subprocess.run([script], env=env, capture_output=True, text=True, check=False)


def calls(checkout: Path) -> list[str]:
    """What was done since the last call."""
    path = checkout / "calls"
    done = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return done


def test_it_installs_once_and_then_only_when_the_requirements_change(checkout: Path) -> None:
    assert run(checkout).returncode == 0
    assert calls(checkout) == ["venv", "pip", "pip"]

    again = run(checkout)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert calls(checkout) == []

    (checkout / "requirements" / "dev.txt").write_text("example==2 --hash=sha256:00\n")
    assert run(checkout).returncode == 0
    assert calls(checkout) == ["pip", "pip"]


def test_an_installation_that_failed_is_made_again(checkout: Path) -> None:
    (checkout / "fail").touch()
    failed = run(checkout)
    assert failed.returncode == 2
    assert "  | no such hash" in failed.stdout
    assert len(failed.stderr.splitlines()) == 1

    (checkout / "fail").unlink()
    assert run(checkout).returncode == 0
    assert (checkout / ".venv" / "bin" / "hakoiri").exists()


def test_a_checkout_that_was_moved_gets_a_new_installation(checkout: Path) -> None:
    assert run(checkout).returncode == 0
    moved = checkout.parent / f"{checkout.name}-moved"
    checkout.rename(moved)
    calls(moved)
    assert run(moved).returncode == 0
    assert "pip" in calls(moved)
