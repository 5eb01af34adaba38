import pytest

from hakoiri.credential_proxy.budgets.gate import Gate
from hakoiri.credential_proxy.budgets.holder import OverBudgetError, holders_of
from hakoiri.credential_proxy.budgets.ledger import Ledger
from hakoiri.credential_proxy.budgets.settings import Terms
from hakoiri.wire.budget import Budget

from .books import Clock, account_of, terms


def gate() -> Gate:
    return Gate(ledger=Ledger(), now_s=Clock())


@pytest.mark.parametrize("kind", ["open_requests", "open_tunnels"])
def test_a_request_is_taken_from_all_three_and_given_back_at_its_end(kind: str) -> None:
    made = gate()
    accounts = [account_of(made.ledger, holder) for holder in holders_of("t", "w")]
    is_tunnel = kind == "open_tunnels"
    meter = made.open(
        tenant="t", workspace="w", own=None, terms=terms, is_tunnel=is_tunnel, bytes_up=0
    )
    meter.up(3)
    assert [getattr(account, kind) for account in accounts] == [1, 1, 1]
    meter.close()
    assert [getattr(account, kind) for account in accounts] == [0, 0, 0]
    assert [account.bytes_up for account in accounts] == [3, 3, 3]


def test_terms_and_the_policy_s_own_budget_are_asked_each_time() -> None:
    made = gate()
    current: list[Terms] = [terms(workspace={"concurrent_requests": 0})]

    def try_it(own: Budget | None = None) -> None:
        made.open(
            tenant="t", workspace="w", own=own, terms=lambda: current[0], is_tunnel=False,
            bytes_up=0,
        ).close()  # fmt: skip

    with pytest.raises(OverBudgetError):
        try_it()
    current[0] = terms()
    try_it()
    with pytest.raises(OverBudgetError):
        try_it(Budget(concurrent_requests=0))


def test_who_belongs_to_nobody_pays_nothing() -> None:
    made = gate()
    meter = made.unbound()
    meter.up(10**6)
    meter.close()
    assert not meter.limits_model
    assert made.ledger.largest(9) == ([], 0)
