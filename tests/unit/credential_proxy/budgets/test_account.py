import pytest

from hakoiri.credential_proxy.budgets.account import Account, Entry
from hakoiri.credential_proxy.budgets.calendar import day_at
from hakoiri.credential_proxy.budgets.holder import OverBudgetError
from hakoiri.credential_proxy.budgets.limits import Limits

from .books import DAY_S, HOLDER, NOON_S

TODAY = day_at(NOON_S)


def used() -> Account:
    return Account(
        HOLDER,
        TODAY.number,
        TODAY.month,
        requests=1,
        bytes_up=2,
        bytes_down=3,
        model_tokens=4,
        spend_microusd=5,
        month_spend_microusd=6,
    )


def sums(account: Account) -> list[int]:
    entry = account.entry()
    return [entry.requests, entry.bytes_up, entry.bytes_down, entry.model_tokens,
            entry.spend_microusd, entry.month_spend_microusd]  # fmt: skip


def test_a_new_day_begins_the_day_s_sums_and_not_the_month_s() -> None:
    account = used()
    account.begin(TODAY)
    assert sums(account) == [1, 2, 3, 4, 5, 6]
    account.begin(day_at(NOON_S + DAY_S))
    assert sums(account) == [0, 0, 0, 0, 0, 6]
    account.begin(day_at(NOON_S + 40 * DAY_S))
    assert sums(account) == [0, 0, 0, 0, 0, 0]


def test_a_clock_set_back_over_midnight_gives_nothing_back() -> None:
    account = used()
    account.begin(day_at(NOON_S - DAY_S))
    assert sums(account) == [1, 2, 3, 4, 5, 6]
    account.begin(TODAY)
    assert sums(account) == [1, 2, 3, 4, 5, 6]


def test_a_clock_that_was_far_ahead_does_not_stop_the_days() -> None:
    account = used()
    account.begin(day_at(NOON_S + 1000 * DAY_S))
    account.model_tokens = 9
    account.begin(TODAY)
    assert sums(account) == [0, 0, 0, 0, 0, 0]


def test_what_is_reserved_is_kept_as_used() -> None:
    account = used()
    account.reserved_tokens, account.reserved_microusd = 100, 1000
    assert sums(account) == [1, 2, 3, 104, 1005, 1006]
    again = Account.of(account.entry())
    assert (again.model_tokens, again.reserved_tokens) == (104, 0)
    assert again.entry() == account.entry()


def test_an_account_is_idle_once_nothing_would_be_lost() -> None:
    later, much_later = day_at(NOON_S + DAY_S), day_at(NOON_S + 40 * DAY_S)
    account = used()
    assert not account.is_idle(TODAY, NOON_S)
    assert not account.is_idle(later, NOON_S)  # the month's spend
    assert account.is_idle(much_later, NOON_S)
    account.open_tunnels = 1
    assert not account.is_idle(much_later, NOON_S)
    unspent = Account.of(Entry(HOLDER, TODAY.number, TODAY.month, bytes_up=1))
    assert not unspent.is_idle(TODAY, NOON_S)
    assert unspent.is_idle(later, NOON_S)
    unspent.allowance_full_at_s = NOON_S + 1
    assert not unspent.is_idle(later, NOON_S)
    assert unspent.is_idle(later, NOON_S + 1)
    unspent.reserved_tokens = 1
    assert not unspent.is_idle(later, NOON_S + 1)


def test_requests_come_back_with_time_up_to_the_burst() -> None:
    limits = Limits(requests_per_s=2, requests_burst=3)
    account = Account(HOLDER, TODAY.number, TODAY.month)
    account.refill(limits, 100.0)
    assert account.allowance == 3
    account.allowance = 0
    account.refill(limits, 100.25)
    with pytest.raises(OverBudgetError) as refused:
        account.check_rate(limits)
    assert refused.value.is_passing
    account.refill(limits, 100.5)
    account.check_rate(limits)
    account.refill(limits, 50.0)  # a clock set back takes nothing away
    assert account.allowance == 1
    account.refill(limits, 1000.0)
    assert account.allowance == 3


def test_a_budget_of_bytes_is_for_what_fits() -> None:
    account = used()
    account.check_bytes(Limits(bytes_up=12), TODAY, NOON_S, up=10)
    with pytest.raises(OverBudgetError, match="bytes_up_per_day"):
        account.check_bytes(Limits(bytes_up=12), TODAY, NOON_S, up=11)
    account.check_bytes(Limits(bytes_down=4), TODAY, NOON_S, up=0)
    with pytest.raises(OverBudgetError, match="bytes_down_per_day"):
        account.check_bytes(Limits(bytes_down=3), TODAY, NOON_S, up=0)
    account.check_counted(Limits(bytes_up=2, bytes_down=3), TODAY, NOON_S)
    for limits in (Limits(bytes_up=1), Limits(bytes_down=2)):
        with pytest.raises(OverBudgetError):
            account.check_counted(limits, TODAY, NOON_S)


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (Limits(model_tokens=4 + 10 + 6), "model_tokens_per_day"),
        (Limits(spend_microusd=5 + 20 + 6), "spend_usd_per_day"),
        (Limits(month_spend_microusd=6 + 20 + 6), "spend_usd_per_month"),
    ],
)
def test_a_model_call_must_fit_beside_what_is_reserved(limits: Limits, name: str) -> None:
    account = used()
    account.reserved_tokens, account.reserved_microusd = 10, 20
    account.check_model(limits, TODAY, NOON_S, tokens=6, microusd=6)
    with pytest.raises(OverBudgetError, match=name):
        account.check_model(limits, TODAY, NOON_S, tokens=7, microusd=7)
