"""Arranges what a process sees, then becomes it. Runs as root in a mount namespace of its own.

The standard library only: this runs before rights are given up, and at every start.
"""

import json
import os
import subprocess
import sys
from pathlib import Path


def closed_ancestors(path: Path) -> list[Path]:
    """Return the parents of `path`, outermost first, that other users may not pass through."""
    return [
        parent
        for parent in reversed(path.parents)
        if parent.is_dir() and not parent.stat().st_mode & 0o001
    ]


def show(paths: list[Path]) -> None:
    """Make `paths` reachable for every user where a closed directory stands in the way.

    The closed directory is covered, in this namespace alone, by an empty one that can be passed,
    and the paths are bound into it: what else it holds is then out of sight altogether.
    """
    blocked = {path: closed for path in paths if (closed := closed_ancestors(path))}
    descriptors = {path: os.open(path, os.O_PATH | os.O_DIRECTORY) for path in blocked}
    for cover in sorted({closed[0] for closed in blocked.values()}):
        _mount("-t", "tmpfs", "-o", "size=1m,mode=0755,nosuid,nodev", "tmpfs", str(cover))
    for path, descriptor in descriptors.items():
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
        source = f"/proc/{os.getpid()}/fd/{descriptor}"
        _mount("--no-canonicalize", "--bind", source, str(path))
        os.close(descriptor)


def hide(paths: list[Path]) -> None:
    """Cover each directory that exists by an empty one."""
    for path in paths:
        if path.is_dir():
            _mount("-t", "tmpfs", "-o", "size=4k,mode=0700,ro", "tmpfs", str(path))


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)  # noqa: S603, S607 - util-linux, by root's PATH


def main() -> None:
    """Carry out the plan given as JSON, then execute its command."""
    plan = json.loads(sys.argv[1])
    show([Path(path) for path in plan["shown"]])
    hide([Path(path) for path in plan["hidden"]])
    os.execvp(plan["command"][0], plan["command"])  # noqa: S606 - that is what this program is for


if __name__ == "__main__":
    main()
