import json
from typing import Any, Self

import pytest
from typer.testing import CliRunner

from hakoiri.cli import pool
from hakoiri.cli.main import app

RUNNER = CliRunner()


class Api:
    """A server's pool: answers as it would, and remembers what it was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.source = "settings"
        self.configuration: dict[str, Any] = {
            "runtimes": {"runc": {"min": 1, "target": 2, "max": 4}},
            "max_age_s": 3600,
            "refills_at_once": 1,
            "preconnect": True,
        }

    def call(self, method: str, path: str, body: Any = None) -> Any:
        assert path == "/v1/pool"
        self.sent.append((method, body))
        if method != "GET":
            self.source = "stored" if method == "PUT" else "settings"
            self.configuration = body or self.configuration
        now = {"state": "refilling", "reason": "1 of 2 are ready", "ready": 1, "starting": 1}
        return {
            "source": self.source,
            "configuration": json.loads(json.dumps(self.configuration)),
            "runtimes": {"runc": now | {"retiring": 0, "target": 2}},
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    api = Api()
    monkeypatch.setattr(pool, "client", lambda *_: api)
    return api


def test_the_pool_is_shown_in_lines_or_as_data(api: Api) -> None:
    told = RUNNER.invoke(app, ["pool", "show"])
    assert told.exit_code == 0, told.output
    assert "the settings': replaced after 3600 s" in told.output
    assert "ready 1, starting 1, going 0; min 1, target 2, max 4 (1 of 2 are ready)" in told.output
    data = json.loads(RUNNER.invoke(app, ["pool", "show", "-o", "json"]).output)
    assert data["configuration"] == api.configuration


def test_what_is_not_given_stays(api: Api) -> None:
    told = RUNNER.invoke(app, ["pool", "set", "--target", "3", "--no-preconnect"])
    assert told.exit_code == 0, told.output
    assert "set with `hakoiri pool set`" in told.output
    assert api.sent[-1] == (
        "PUT",
        {
            "runtimes": {"runc": {"min": 1, "target": 3, "max": 4}},
            "max_age_s": 3600,
            "refills_at_once": 1,
            "preconnect": False,
        },
    )


def test_another_runtime_gets_a_pool_beside_the_first(api: Api) -> None:
    sizes = ["--min", "0", "--target", "1", "--max", "1"]
    assert RUNNER.invoke(app, ["pool", "set", "--runtime", "runsc", *sizes]).exit_code == 0
    runtimes = api.sent[-1][1]["runtimes"]
    assert runtimes == {
        "runc": {"min": 1, "target": 2, "max": 4},
        "runsc": {"min": 0, "target": 1, "max": 1},
    }


def test_a_reset_lets_the_settings_count(api: Api) -> None:
    assert RUNNER.invoke(app, ["pool", "reset"]).exit_code == 0
    assert api.sent == [("DELETE", None)]


def test_every_command_has_an_example() -> None:
    for command in ("show", "set", "reset"):
        assert "Example" in RUNNER.invoke(app, ["pool", command, "--help"]).output
