import tomllib
from pathlib import Path

from hakoiri.workspace_agent.version import AGENT_VERSION


def test_the_agent_reports_the_version_of_the_package() -> None:
    pyproject = Path(__file__).parents[3] / "pyproject.toml"
    assert tomllib.loads(pyproject.read_text())["project"]["version"] == AGENT_VERSION
