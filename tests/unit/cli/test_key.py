from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from hakoiri.cli import key
from hakoiri.host.conversations.model import ApiKey

AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_tenants_name_of_a_key_steers_no_terminal_and_forges_no_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "shop\x1b[2J\n0123456789abcdef  valid    acme  forged"
    keys = [ApiKey(id="a" * 16, tenant="acme", name=name, created_at=AT, revoked_at=None)]
    monkeypatch.setattr(key, "_with_keys", lambda _work: keys)
    shown = CliRunner().invoke(key.app, ["list"])
    assert shown.exit_code == 0
    assert len(shown.stdout.splitlines()) == 1
    assert "\x1b" not in shown.stdout


def test_a_key_is_recorded_first_and_a_revocation_waits_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[bool] = []
    made = ApiKey(id="a" * 16, tenant="acme", name="n", created_at=AT, revoked_at=None)

    def with_keys(_work: object, *, is_recorded_first: bool = False) -> tuple[ApiKey, str]:
        asked.append(is_recorded_first)
        return made, "secret"

    monkeypatch.setattr(key, "_with_keys", with_keys)
    assert CliRunner().invoke(key.app, ["create", "n"]).exit_code == 0
    assert CliRunner().invoke(key.app, ["revoke", "a" * 16]).exit_code == 0
    assert asked == [True, False]
