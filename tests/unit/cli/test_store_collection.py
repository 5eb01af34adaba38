import json
from typing import Any, Self

import pytest
from typer.testing import CliRunner

from hakoiri.cli import store_collection
from hakoiri.cli.main import app

RUNNER = CliRunner()


class Api:
    """A server that has looked through its store."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, Any]] = []
        self.told: dict[str, Any] = {
            name: {"objects": number, "size_bytes": 100 * number}
            for number, name in enumerate(
                ("live", "young", "waiting", "archived", "left", "deleted", "foreign")
            )
        }
        self.told |= {"wasted_bytes": 7, "missing": 0, "failures": [], "expired_points": 3}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        self.sent.append((method, path, body))
        return self.told

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    api = Api()
    monkeypatch.setattr(store_collection, "client", lambda *_, **__: api)
    return api


def test_the_store_is_collected_and_told_in_lines_or_as_data(api: Api) -> None:
    told = RUNNER.invoke(app, ["files", "collect"])
    assert told.exit_code == 0, told.output
    assert "400          4  went into the archive now" in told.output
    assert "3  recovery points left their lists" in told.output
    data = RUNNER.invoke(app, ["files", "collect", "--dry-run", "-o", "json"])
    assert json.loads(data.output) == api.told
    assert api.sent == [
        ("POST", "/v1/collection", {"dry_run": False}),
        ("POST", "/v1/collection", {"dry_run": True}),
    ]


@pytest.mark.parametrize("wrong", [{"missing": 3}, {"failures": ["tenant acme: torn"]}])
def test_what_is_wrong_is_told_and_is_a_failure(api: Api, wrong: dict[str, Any]) -> None:
    api.told |= wrong
    told = RUNNER.invoke(app, ["files", "collect"])
    assert told.exit_code == 1
    assert "3 objects" in told.output or "tenant acme" in told.output
    assert RUNNER.invoke(app, ["files", "collect", "--json"]).exit_code == 1
