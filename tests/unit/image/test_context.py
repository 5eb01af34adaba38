import os
import stat
from pathlib import Path

from hakoiri.image.context import write_context
from hakoiri.image.inputs import read_inputs


def test_the_context_holds_what_the_dockerfile_copies_and_nothing_of_the_host(
    source_root: Path, tmp_path: Path
) -> None:
    wheels, modules = tmp_path / "wheels", tmp_path / "node_modules"
    (modules / "global-agent").mkdir(parents=True)
    (modules / "global-agent/bootstrap.js").write_text("1")
    (modules / "global-agent/bootstrap.js").chmod(0o777)
    wheels.mkdir()
    (wheels / "a-1.whl").write_text("wheel")
    context = tmp_path / "context"
    mask = os.umask(0o077)
    try:
        write_context(context, inputs=read_inputs(source_root), wheels=wheels, node_modules=modules)
    finally:
        os.umask(mask)
    files = {str(path.relative_to(context)): path for path in context.rglob("*")}
    assert {name for name, path in files.items() if path.is_file()} == {
        "Dockerfile",
        "workspace-requirements.txt",
        "wheels/a-1.whl",
        "fetch-through-proxy.cjs",
        "loopback-interfaces.cjs",
        "tunnel-through-proxy.cjs",
        "node_modules/global-agent/bootstrap.js",
        "hakoiri/__init__.py",
        "hakoiri/wire/__init__.py",
        "hakoiri/workspace_agent/__init__.py",
        "hakoiri/workspace_agent/app.py",
        "hakoiri/workspace_agent/data.json",
    }
    for path in files.values():
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644)
