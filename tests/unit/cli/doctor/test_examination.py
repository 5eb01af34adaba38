from pathlib import Path

import pytest
from tests.unit.cli.doctor.test_engine_checks import ENGINE

from hakoiri.cli.doctor import examination
from hakoiri.cli.doctor.engine_facts import EngineUnknownError
from hakoiri.cli.doctor.examination import examine
from hakoiri.cli.doctor.finding import Finding, State
from hakoiri.host.container_settings import ContainerSettings
from hakoiri.host.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, docker_host=f"unix://{tmp_path}/docker.sock")


def test_an_engine_that_is_away_ends_only_what_depends_on_it(settings: Settings) -> None:
    findings = examine(settings, image_reference=lambda: "hakoiri/workspace")

    by_name = {finding.name: finding for finding in findings}
    assert by_name["engine"].state is State.MISSING
    assert by_name["engine socket"].state is State.MISSING
    assert {"platform", "data directory", "user hakoiri-proxy"} <= set(by_name)
    assert "seccomp" not in by_name


def test_every_name_is_there_once_and_the_image_asked_for_is_the_one_named(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    asked: list[str] = []

    def has_image(docker_host: str, reference: str) -> bool:
        asked.append(reference)
        return False

    monkeypatch.setattr(examination, "read_engine", lambda _: ENGINE)
    monkeypatch.setattr(examination, "has_image", has_image)

    findings = examine(settings, image_reference=lambda: "hakoiri/workspace:0123")

    names = [finding.name for finding in findings]
    assert len(names) == len(set(names))
    assert asked == ["hakoiri/workspace:0123"]
    assert findings[-1].state is State.MISSING
    assert all(bool(finding.mend) == (finding.state is not State.OK) for finding in findings)


def test_an_engine_that_dies_between_two_questions_is_away(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    def fail(docker_host: str, reference: str) -> bool:
        raise EngineUnknownError("connection refused")

    monkeypatch.setattr(examination, "read_engine", lambda _: ENGINE)
    monkeypatch.setattr(examination, "has_image", fail)

    findings = examine(settings, image_reference=lambda: "hakoiri/workspace")
    assert findings[-1].name == "engine"
    assert findings[-1].state is State.MISSING


def test_the_filter_in_use_is_told_and_one_that_cannot_be_used_is_missing(tmp_path: Path) -> None:
    def told(path: Path | None) -> Finding:
        container = ContainerSettings(seccomp_profile=path)
        found = examine(
            Settings(data_dir=tmp_path, docker_host="tcp://127.0.0.1:1", container=container),
            image_reference=lambda: "hakoiri/workspace",
        )
        (finding,) = (one for one in found if one.name == "system-call filter")
        return finding

    assert told(None).state is State.OK
    assert "the profile that ships" in told(None).text
    wide = tmp_path / "wide.json"
    wide.write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    assert told(wide).state is State.MISSING
    assert str(wide) in told(wide).text
