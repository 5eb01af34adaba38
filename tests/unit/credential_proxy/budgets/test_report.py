import pytest

from hakoiri.credential_proxy.budgets import report as report_module
from hakoiri.credential_proxy.budgets.holder import holders_of
from hakoiri.credential_proxy.budgets.ledger import Ledger
from hakoiri.credential_proxy.budgets.limits import NO_LIMITS
from hakoiri.credential_proxy.budgets.report import report
from hakoiri.wire.budget import Budget

from .books import DAY_S, NOON_S, terms

TERMS = terms(
    installation={"spend_usd_per_day": 3},
    tenant={"concurrent_tunnels": 2, "concurrent_requests": 9},
    tenants={"t": {"concurrent_tunnels": 1}},
    workspace={"bytes_up_per_day": 7},
)


def ledger() -> Ledger:
    made = Ledger()
    claims = made.claims(holders_of("t", "w"), [NO_LIMITS] * 3, NOON_S)
    accounts = [account for account, _ in claims]
    made.count(accounts, up=1, down=2, now_s=NOON_S)
    made.reserve(claims, tokens=5, microusd=6, now_s=NOON_S)
    return made


def test_each_holder_is_told_with_its_budget() -> None:
    told = report(ledger(), TERMS, now_s=NOON_S, fault="")
    found = {use.kind: use for use in told.holders}
    assert (found["workspace"].tenant, found["workspace"].workspace) == ("t", "w")
    assert (found["tenant"].tenant, found["tenant"].workspace) == ("t", None)
    assert found["installation"].budget == Budget(spend_usd_per_day=3)
    assert found["tenant"].budget == Budget(concurrent_tunnels=1, concurrent_requests=9)
    assert found["workspace"].budget == Budget(bytes_up_per_day=7)
    for use in told.holders:
        assert (use.bytes_up, use.bytes_down) == (1, 2)
        assert (use.model_tokens_reserved, use.spend_microusd_reserved) == (5, 6)
    assert told.day_ends.endswith("T00:00:00Z")


def test_yesterday_s_use_is_not_told() -> None:
    told = report(ledger(), TERMS, now_s=NOON_S + DAY_S, fault="why")
    assert {use.bytes_up for use in told.holders} == {0}
    assert told.fault == "why"


def test_a_long_list_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_module, "HOLDERS_TOLD", 1)
    told = report(ledger(), TERMS, now_s=NOON_S, fault="")
    assert (len(told.holders), told.left_out) == (1, 2)
