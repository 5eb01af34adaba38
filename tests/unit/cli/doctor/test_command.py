import json

import pytest
from typer.testing import CliRunner

from hakoiri.cli.doctor import checklist_facts, command, production_facts
from hakoiri.cli.doctor.command import as_data, as_lines
from hakoiri.cli.doctor.finding import Finding
from hakoiri.cli.main import app
from hakoiri.image.errors import ImageBuildError

FINE = Finding.ok("root", "yes")
LESSER = Finding.warning("apparmor", "off [here]", mend="boot with it")
LACKING = Finding.missing("engine", "away", mend="`make setup`")


def examine_as(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> None:
    monkeypatch.setattr(command, "examine", lambda *_, **__: list(findings))


def test_each_finding_is_one_line_with_its_mend() -> None:
    lines = [line.plain for line in as_lines([FINE, LESSER, LACKING])]
    assert lines == [
        "ok       root      yes",
        "warning  apparmor  off [here]; mend: boot with it",
        "missing  engine    away; mend: `make setup`",
        "Not ready: engine.",
    ]


def test_the_data_says_the_same() -> None:
    data = json.loads(as_data([FINE, LACKING]))
    assert data["ok"] is False
    assert data["findings"][1] == {
        "name": "engine",
        "state": "missing",
        "text": "away",
        "mend": "`make setup`",
    }


@pytest.mark.parametrize("flags", [["--json"], ["-o", "json"], ["--output", "json"]])
def test_json_is_asked_for_in_any_of_three_ways(
    monkeypatch: pytest.MonkeyPatch, flags: list[str]
) -> None:
    examine_as(monkeypatch, FINE, LESSER)
    result = CliRunner().invoke(app, ["doctor", *flags])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["ok"] is True


def test_something_missing_is_exit_code_1_and_a_warning_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    examine_as(monkeypatch, FINE, LESSER)
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0
    examine_as(monkeypatch, FINE, LACKING)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "Not ready: engine." in result.stdout


def test_settings_that_cannot_be_read_are_exit_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAKOIRI_PROT", "1")
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 2
    assert "HAKOIRI_PROT" in result.stderr


def test_this_versions_image_is_looked_for_and_any_where_there_are_no_sources(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert command.image_reference().startswith("hakoiri/workspace:")

    def find_no_sources() -> str:
        raise ImageBuildError("no sources")

    monkeypatch.setattr(command, "workspace_image", find_no_sources)
    assert command.image_reference() == "hakoiri/workspace"


def test_in_production_the_checklist_follows_what_a_start_demands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    examine_as(monkeypatch, FINE)
    later = Finding.open("several hosts", "not built", mend="one by one")
    monkeypatch.setattr(production_facts, "examine_production", lambda _: [LESSER])
    monkeypatch.setattr(checklist_facts, "examine_checklist", lambda *_, **__: [later])
    assert "several hosts" not in CliRunner().invoke(app, ["doctor"]).stdout
    result = CliRunner().invoke(app, ["doctor", "--production", "--json"])
    assert result.exit_code == 0, "what is open refuses nothing"
    states = [(one["name"], one["state"]) for one in json.loads(result.stdout)["findings"]]
    assert states == [("root", "ok"), ("apparmor", "warning"), ("several hosts", "open")]
