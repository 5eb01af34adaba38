import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from hakoiri.cli.presets import host_configuration
from hakoiri.cli.presets.host_configuration import (
    HostConfigurationError,
    Manager,
    ask,
    find_sources,
)

APT = {
    "debian.sources": "Types: deb\nURIs: http://mirror.example.test/debian\nSuites: s\n",
    "more.list": "deb [trusted=yes] https://apt.example.test:8443/x y z\n"
    "deb-src http://no.test x\n",
    "old.list.save": "deb http://saved.test x y\n",
    "off.sources": "Enabled: no\nTypes: deb\nURIs: http://off.test/\nSuites: s\n",
}


@pytest.fixture
def no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A place for configuration files, with none of this host's in force."""
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    return tmp_path


def hosts(*managers: Manager) -> dict[str, int]:
    return {source.host: source.port for source in find_sources(managers).sources}


def test_the_hosts_own_pip_is_asked(no_configuration: Path) -> None:
    (no_configuration / "pip.conf").write_text(
        "[global]\nindex-url = https://index.example.test/simple\n"
        "[install]\nextra-index-url =\n  https://a.example.test:8443/x\n  https://b.example.test\n"
    )
    wanted = {"index.example.test": 443, "a.example.test": 8443, "b.example.test": 443}
    assert wanted.items() <= hosts(Manager.PIP).items()


def test_the_environment_counts_before_the_file(
    no_configuration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (no_configuration / "pip.conf").write_text("[global]\nindex-url = https://file.example.test\n")
    monkeypatch.setenv("PIP_INDEX_URL", "https://environment.example.test/simple")
    found = hosts(Manager.PIP)
    assert "environment.example.test" in found
    assert "file.example.test" not in found


def test_pips_own_default_is_an_index_and_the_host_of_its_files() -> None:
    def without_configuration(command: Sequence[str]) -> str:
        return "" if "config" in command else ask(command)

    sources = find_sources([Manager.PIP], ask=without_configuration).sources
    assert len({one.host for one in sources}) == 2
    assert {(one.port, one.origin) for one in sources} == {(443, "pip's default")}


def test_apts_enabled_sources_of_binary_packages_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_configuration, "read_source_files", lambda: APT)
    assert hosts(Manager.APT) == {"mirror.example.test": 80, "apt.example.test": 8443}


def test_each_manager_is_asked_once_and_one_that_is_missing_is_noted() -> None:
    asked: list[Sequence[str]] = []

    def answer(command: Sequence[str]) -> str:
        asked.append(command)
        if command[0] == "npm":
            return json.dumps({"registry": "https://registry.example.test"})
        raise HostConfigurationError("python is not on this host")

    found = find_sources([Manager.PIP, Manager.NPM, Manager.NPM], python="python", ask=answer)
    assert [source.host for source in found.sources] == ["registry.example.test"]
    assert found.notes == ["pip: python is not on this host; left out"]
    assert len(asked) == 2


@pytest.mark.parametrize("printed", ["", "nonsense", "{}", "[1]"])
def test_a_pip_that_does_not_tell_its_default_is_noted(printed: str) -> None:
    def answer(command: Sequence[str]) -> str:
        return printed if "-c" in command else ""

    found = find_sources([Manager.PIP], ask=answer)
    assert found.sources == []
    assert found.notes == ["pip: pip does not tell its default index; left out"]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit(1)", "does not tell"),
        ("print('x' * (1024 * 1024 + 1))", "more than can be"),
    ],
)
def test_a_command_that_fails_or_floods_is_told(code: str, said: str) -> None:
    with pytest.raises(HostConfigurationError, match=said):
        ask([sys.executable, "-c", code])


def test_a_command_that_is_not_there_is_told() -> None:
    with pytest.raises(HostConfigurationError, match="not on this host"):
        ask(["no-such-package-manager"])


def test_a_project_that_one_stands_in_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ask([sys.executable, "-c", "import os; print(os.getcwd())"]).strip() == "/"
