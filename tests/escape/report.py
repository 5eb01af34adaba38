"""`python -m tests.escape.report`: play the attacks, write the report; 1 if one is open."""

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tests.escape.findings import Check, open_checks, untried
from tests.escape.page import render
from tests.escape.recorder import RECORD_VARIABLE, collected

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs/security/penetration-test-report.md"
ALL_PASSED: Final = 0


def main(arguments: Sequence[str]) -> int:
    """Run the attacks with these options of pytest; return the exit code.

    With options, which may choose some of the attacks, no page is written.
    """
    with tempfile.TemporaryDirectory(
        prefix="hakoiri-escape-", ignore_cleanup_errors=True
    ) as directory:
        record = Path(directory) / "record.json"
        command = [
            *(sys.executable, "-m", "pytest", "-p", "tests.escape.recorder"),
            f"--basetemp={directory}/t",  # the shared one is swept by each run
            *(arguments or ["tests/escape", *sorted(collected())]),
        ]
        environment = os.environ | {RECORD_VARIABLE: str(record)}
        ended = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        checks = read(record)
    if not arguments:
        PAGE.write_text(render(checks, facts()), encoding="utf-8")
    return verdict(checks, ended=ended, is_whole=not arguments)


def read(record: Path) -> list[Check]:
    """Read what the plugin wrote; nothing if it did not come to that."""
    if not record.is_file():
        return []
    return [Check(**entry) for entry in json.loads(record.read_text(encoding="utf-8"))]


def verdict(checks: Sequence[Check], *, ended: int, is_whole: bool) -> int:
    """Return 0 only if every attack was held back and, in a whole run, each area was tried."""
    found = open_checks(checks)
    lacking = untried(checks) if is_whole else []
    sys.stdout.write(
        f"{len(checks) - len(found)} attacks held back, {len(found)} open, "
        f"{len(lacking)} areas untried\n"
    )
    for check in found:
        sys.stdout.write(f"OPEN  {check.area}, {check.runtime}: {check.name}: {check.seen[:200]}\n")
    return 0 if ended == ALL_PASSED and not found and not lacking else 1


def facts() -> dict[str, str]:
    """Return when and on what the run was; nothing that names the machine."""
    commit = _said("git", "rev-parse", "--short=12", "HEAD")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "Hakoiri": f"{version('hakoiri')}, commit {commit or 'unknown'}",
        "engine": _said("docker", "version", "--format", "Docker {{.Server.Version}}"),
        "runc": _said("runc", "--version").splitlines()[0],
        "runsc": _said("runsc", "--version").splitlines()[0],
        "kernel": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "control groups": _said("docker", "info", "--format", "v{{.CgroupVersion}}"),
        "AppArmor": "in the kernel" if _has_apparmor() else "not in this kernel",
    }


def _has_apparmor() -> bool:
    return Path("/sys/module/apparmor/parameters/enabled").exists()


def _said(*command: str) -> str:
    """Return what a command printed; `unknown` where it cannot."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
