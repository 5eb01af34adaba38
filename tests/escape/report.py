"""`python -m tests.escape.report`: play the attacks, write the report; 1 if one is open.

Each file of attacks is a run of its own, so that one which breaks takes no other along, and the
page is written after each: a run that is cut off has told what it saw, and the rest as untried.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tests.escape.findings import Check, open_checks, untried
from tests.escape.page import render
from tests.escape.recorder import RECORD_VARIABLE, collected

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs/security/penetration-test-report.md"
SLOW: Final = ("test_exhaustion.py", "test_taken_over_agent.py")
"""They come last."""

GOOD_ENDS: Final = frozenset({0, 5})
"""All passed, or nothing was chosen (pytest's exit codes)."""


def main(arguments: Sequence[str]) -> int:
    """Run the attacks, or those that options of pytest choose; return the exit code.

    A page is written for the whole alone.
    """
    checks: list[Check] = []
    ends: set[int] = set()
    for part in [list(arguments)] if arguments else parts():
        ended, told = run(part)
        ends.add(ended)
        checks += told
        if not arguments:
            PAGE.write_text(render(checks, facts()), encoding="utf-8")
    return verdict(checks, ended=max(ends - GOOD_ENDS, default=0), is_whole=not arguments)


def parts() -> Iterator[list[str]]:
    """Give the files of attacks, and the collected tests by file."""
    nodes = sorted(collected())
    for file in sorted({node.partition("::")[0] for node in nodes}):
        yield [node for node in nodes if node.startswith(f"{file}::")]
    files = sorted(path.name for path in Path(__file__).parent.glob("test_*.py"))
    for name in sorted(files, key=SLOW.__contains__):
        yield [str(Path(__file__).with_name(name).relative_to(ROOT))]


def run(chosen: Sequence[str]) -> tuple[int, list[Check]]:
    """Run pytest over what is chosen; return its exit code and the checks that were told."""
    with tempfile.TemporaryDirectory(
        prefix="hakoiri-escape-", ignore_cleanup_errors=True
    ) as directory:
        record = Path(directory) / "record.json"
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-p", "tests.escape.recorder"),
            *("--tb=short", f"--basetemp={directory}/t"),  # the shared one is swept by each run
            *chosen,
        ]
        environment = os.environ | {RECORD_VARIABLE: str(record)}
        ended = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        return ended, read(record)


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
    return 0 if ended == 0 and not found and not lacking else 1


def facts() -> dict[str, str]:
    """Return when and on what the run was; nothing that names the machine."""
    commit = _said("git", "rev-parse", "--short=12", "HEAD")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "Hakoiri": f"{version('hakoiri')}, commit {commit}",
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
