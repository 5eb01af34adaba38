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
