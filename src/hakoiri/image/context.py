"""The build context: exactly what the Dockerfile copies, with sound modes."""

import os
import shutil
from pathlib import Path

from hakoiri.image.inputs import PRELOADS, ImageInputs


def write_context(context: Path, *, inputs: ImageInputs, wheels: Path, node_modules: Path) -> None:
    """Fill the new directory `context`; wheels are linked, not copied, where that is possible."""
    context.mkdir()
    (context / "Dockerfile").write_bytes(inputs.dockerfile)
    for name in ("workspace-requirements.txt", *PRELOADS):
        (context / name).write_bytes(inputs.libraries[name])
    shutil.copytree(node_modules, context / "node_modules", symlinks=True)
    (context / "wheels").mkdir()
    for wheel in wheels.glob("*.whl"):
        _link(wheel, context / "wheels" / wheel.name)
    for path, content in inputs.agent.items():
        target = context / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    _set_modes(context)


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def _set_modes(context: Path) -> None:
    """Let all read and only the owner write, whatever the umask of who builds."""
    for directory, _, names in os.walk(context):
        Path(directory).chmod(0o755)
        for name in names:
            path = Path(directory, name)
            if not path.is_symlink():
                path.chmod(0o644)
