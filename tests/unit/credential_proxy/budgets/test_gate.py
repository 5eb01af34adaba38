import pytest

from hakoiri.credential_proxy.budgets.gate import Gate
from hakoiri.credential_proxy.budgets.holder import OverBudgetError, holders_of
from hakoiri.credential_proxy.budgets.ledger import Ledger
from hakoiri.credential_proxy.budgets.limits import NO_LIMITS
from hakoiri.credential_proxy.budgets.settings import Terms
from hakoiri.wire.budget import Budget

from .books import NOON_S, Clock, terms


def gate() -> Gate:
    return Gate(ledger=Ledger(), now_s=Clock())


def test_a_request_is_taken_from_all_three_and_given_back_at_its_end() -> None:
    made = gate()
    accounts = [made.ledger.account(h, NO_LIMITS, NOON_S) for h in holders_of("t", "w")]

    def open_now() -> list[int]:
        return [account.open_requests for account in accounts]

    with made.open(
        tenant="t", workspace="w", own=None, terms=terms, is_tunnel=False, bytes_up=0
    ) as meter:
        meter.up(3)
        assert open_now() == [1, 1, 1]
    assert open_now() == [0, 0, 0]
    assert [account.bytes_up for account in accounts] == [3, 3, 3]
    with (
        pytest.raises(ZeroDivisionError),
        made.open(tenant="t", workspace="w", own=None, terms=terms, is_tunnel=True, bytes_up=0),
    ):
        1 // (3 - sum(account.open_tunnels for account in accounts))
    assert [account.open_tunnels for account in accounts] == [0, 0, 0]


def test_terms_and_the_policy_s_own_budget_are_asked_each_time() -> None:
    made = gate()
    current: list[Terms] = [terms(workspace={"concurrent_requests": 0})]

    def try_it(own: Budget | None = None) -> None:
        with made.open(
            tenant="t", workspace="w", own=own, terms=lambda: current[0], is_tunnel=False,
            bytes_up=0,
        ):  # fmt: skip
            pass

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
