from pathlib import Path

import pytest
import typer

from hakoiri.cli import production_gate
from hakoiri.cli.doctor import production_required
from hakoiri.host.settings import load


def test_production_is_refused_with_a_line_for_each_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["production: b: not there; mend: get one", "production: c: not there; mend: get two"]
    monkeypatch.setattr(production_required, "lacking", lambda _: lines)
    with pytest.raises(typer.Exit) as ended:
        production_gate.require_production(load(data_dir=tmp_path), command="serve")
    assert ended.value.exit_code == 2
    assert capsys.readouterr().err.splitlines() == [
        "hakoiri serve: production: b: not there; mend: get one",
        "hakoiri serve: production: c: not there; mend: get two",
    ]


def test_a_fit_host_is_let_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(production_required, "lacking", lambda _: [])
    production_gate.require_production(load(data_dir=tmp_path), command="serve")
