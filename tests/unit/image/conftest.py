from pathlib import Path

import pytest
from tests.unit.image.commands import Commands


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    return Commands(tmp_path, monkeypatch)


@pytest.fixture
def source_root(tmp_path: Path) -> Path:
    """A source tree as small as one can be."""
    root = tmp_path / "source"
    files = {
        "workspace-base/packages.txt": "# what it needs\ngit\n\njq # for JSON\n",
        "workspace-base/seal-root.sh": "true",
        "workspace-base/slim.Dockerfile": "FROM scratch",
        "workspace-base/workspace-requirements.txt": "a==1 --hash=sha256:00",
        "workspace-base/package.json": "{}",
        "workspace-base/package-lock.json": "{}",
        "workspace-base/fetch-through-proxy.cjs": "1",
        "workspace-base/loopback-interfaces.cjs": "1",
        "workspace-base/tunnel-through-proxy.cjs": "1",
        "workspace-base/Dockerfile": "FROM x",
        "src/hakoiri/__init__.py": "",
        "src/hakoiri/wire/__init__.py": "",
        "src/hakoiri/workspace_agent/__init__.py": "",
        "src/hakoiri/workspace_agent/app.py": "agent = 1",
        "src/hakoiri/workspace_agent/data.json": "{}",
        "src/hakoiri/host/secret.py": "never = 1",
    }
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root
