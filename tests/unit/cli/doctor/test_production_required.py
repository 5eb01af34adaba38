from pathlib import Path

import pytest
from tests.unit.cli.supervisor.test_processes import load

from hakoiri.cli.doctor import production_required
from hakoiri.cli.doctor.finding import Finding


def test_what_is_missing_is_a_line_each_with_its_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    findings = [
        Finding.ok("production: a", "there"),
        Finding.missing("production: b", "not there", mend="get one"),
        Finding.missing("production: c", "not there", mend="get two"),
    ]
    monkeypatch.setattr(production_required, "examine_production", lambda _: findings)
    assert production_required.lacking(load(tmp_path)) == [
        "production: b: not there; mend: get one",
        "production: c: not there; mend: get two",
    ]
