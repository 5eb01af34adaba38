"""The rehearsal model's files as the workspace image can run them: source, and what it lacks."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SCRIPT: Final = ROOT / "deployment/seccomp/workloads/agent.yaml"
OF_THE_IMAGE: Final = frozenset({"pydantic", "pydantic_core", "starlette", "uvicorn", "anyio"})
LISTED: Final = """
import json, sys
import typer, hakoiri.rehearsal.__main__, hakoiri.rehearsal.app
print(json.dumps([getattr(one, "__file__", None) for one in list(sys.modules.values())]))
"""


def add_model(payload: tarfile.TarFile) -> None:
    """Put the model below `model/`: its rooms, its script, and the pure modules that it imports.

    Modules in machine code are left out; the image has its own of those that matter.
    """
    for room in ("rehearsal", "wire"):
        payload.add(ROOT / "src/hakoiri" / room, f"model/hakoiri/{room}", filter=_source_alone)
    payload.add(SCRIPT, f"model/{SCRIPT.name}")
    done = subprocess.run(
        [sys.executable, "-P", "-c", LISTED], capture_output=True, text=True, check=True
    )
    paths = {Path(named) for named in json.loads(done.stdout) if named}
    for top in sorted({found for path in paths if (found := _top(path)) is not None}):
        # whole, since some import parts of themselves only when they are used
        payload.add(top, f"model/{top.name}", filter=_source_alone)


def _top(file: Path) -> Path | None:
    """Return the package, or the single module, directly below site-packages."""
    below = next((one for one in (file, *file.parents) if one.parent.name == "site-packages"), None)
    return None if below is None or below.name in OF_THE_IMAGE else below


def _source_alone(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return info if info.isdir() or info.name.endswith((".py", ".yaml")) else None
