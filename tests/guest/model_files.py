"""The rehearsal model's files as the workspace image can run them: source, and what it lacks."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SCRIPT: Final = ROOT / "deployment/seccomp/workloads/agent.yaml"
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
    for named in json.loads(done.stdout):
        file = Path(named or "")
        if file.suffix == ".py" and "site-packages" in file.parts:
            inside = file.parts[file.parts.index("site-packages") + 1 :]
            payload.add(file, "/".join(("model", *inside)))


def _source_alone(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in info.name else info
