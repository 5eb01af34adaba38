from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hakoiri.credential_proxy.budgets.calendar import day_at
from hakoiri.credential_proxy.budgets.holder import Holder, OverBudgetError, holders_of
from hakoiri.credential_proxy.budgets.ledger import Claims, Ledger, Reservation
from hakoiri.credential_proxy.budgets.limits import Limits

from .books import DAY_S, NOON_S, account_of, claims

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "close", "reserve", "settle", "count", "wait"]),
        st.sampled_from(["a", "b"]),
        st.integers(0, 60),
        st.integers(0, 60),
    ),
    max_size=60,
)
LIMITS = Limits(concurrent_requests=3, model_tokens=100, spend_microusd=100, bytes_up=100)


class Books:
    """A ledger that two workspaces of a tenant use, and what a fair one would hold."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.now_s = NOON_S
        self.opened: list[Claims] = []
        self.reserved: list[tuple[Claims, Reservation]] = []
        self.settled: Counter[str] = Counter()

    def claims(self, workspace: str) -> Claims:
        return self.ledger.claims(holders_of("t", workspace), [LIMITS] * 3, self.now_s)

    def open(self, mine: Claims, first: int, _second: int) -> None:
        self.ledger.open(mine, is_tunnel=False, bytes_up=first, now_s=self.now_s)
        self.opened.append(mine)

    def close(self, _mine: Claims, _first: int, _second: int) -> None:
        if self.opened:
            self.ledger.close([account for account, _ in self.opened.pop()], is_tunnel=False)

    def reserve(self, mine: Claims, first: int, second: int) -> None:
        taken = self.ledger.reserve(mine, tokens=first, microusd=second, now_s=self.now_s)
        self.reserved.append((mine, taken))

    def settle(self, _mine: Claims, first: int, second: int) -> None:
        if not self.reserved:
            return
        theirs, taken = self.reserved.pop(0)
        accounts = [account for account, _ in theirs]
        tokens, microusd = min(first, taken.tokens), min(second, taken.microusd)
        self.ledger.settle(
            accounts, taken, tokens=tokens, microusd=microusd, is_told=True, now_s=self.now_s
        )
        self.settled[accounts[2].holder.workspace] += tokens

    def count(self, mine: Claims, first: int, second: int) -> None:
        accounts = [account for account, _ in mine]
        self.ledger.count(accounts, up=first, down=second, now_s=self.now_s)

    def wait(self, _mine: Claims, first: int, _second: int) -> None:
        self.now_s += first

    def check(self, workspace: str) -> None:
        _, tenant, mine = (account for account, _ in self.claims(workspace))
        held = [taken for theirs, taken in self.reserved if theirs[2][0] is mine]
        assert mine.reserved_tokens == sum(taken.tokens for taken in held)
        assert mine.reserved_microusd == sum(taken.microusd for taken in held)
        assert mine.model_tokens == self.settled[workspace]
        assert 0 <= mine.open_requests <= tenant.open_requests <= 3
        for account in (tenant, mine):
            assert account.model_tokens + account.reserved_tokens <= 100
            assert account.spend_microusd + account.reserved_microusd <= 100
            assert min(account.reserved_tokens, account.reserved_microusd) >= 0
        assert tenant.model_tokens == self.settled.total()


@settings(max_examples=200)
@given(STEPS)
def test_no_budget_is_ever_overdrawn_and_every_sum_is_accounted_for(
    steps: list[tuple[str, str, int, int]],
) -> None:
    books = Books()
    for what, workspace, first, second in steps:
        mine = books.claims(workspace)
        before = [account.entry() for account, _ in mine]
        try:
            getattr(books, what)(mine, first, second)
        except OverBudgetError:
            assert [account.entry() for account, _ in mine] == before, "nothing was taken"
    books.check("a")
    books.check("b")


def test_the_one_that_refuses_keeps_the_others_from_paying() -> None:
    ledger = Ledger()
    wide, tight = Limits(model_tokens=1000), Limits(model_tokens=1)
    _, *holders = holders_of("t", "w")
    both = ledger.claims(holders, [wide, tight], NOON_S)
    with pytest.raises(OverBudgetError, match="the workspace w"):
        ledger.reserve(both, tokens=2, microusd=0, now_s=NOON_S)
    assert both[0][0].reserved_tokens == 0
    rate = Limits(requests_per_s=1, requests_burst=1)
    full = Limits(concurrent_requests=0)
    with pytest.raises(OverBudgetError, match="concurrent_requests"):
        ledger.open(
            [(both[0][0], rate), (both[1][0], full)], is_tunnel=False, bytes_up=0, now_s=NOON_S
        )
    assert (both[0][0].allowance, both[0][0].open_requests, both[0][0].requests) == (1, 0, 0)


def test_a_reservation_over_midnight_is_charged_to_the_day_that_it_ends_in() -> None:
    ledger = Ledger()
    mine = claims(ledger, model_tokens=100)
    taken = ledger.reserve(mine, tokens=80, microusd=0, now_s=NOON_S)
    accounts = [account for account, _ in mine]
    ledger.settle(accounts, taken, tokens=70, microusd=0, is_told=False, now_s=NOON_S + DAY_S)
    assert (accounts[0].model_tokens, accounts[0].reserved_tokens) == (70, 0)
    assert accounts[0].untold_calls == 1
    assert accounts[0].day == day_at(NOON_S + DAY_S).number


def test_what_changed_is_taken_once_and_counts_reservations() -> None:
    ledger = Ledger()
    mine = claims(ledger)
    ledger.reserve(mine, tokens=5, microusd=6, now_s=NOON_S)
    [entry] = ledger.take_changed().values()
    assert (entry.model_tokens, entry.spend_microusd) == (5, 6)
    assert ledger.take_changed() == {}
    again = Ledger([entry])
    assert claims(again)[0][0].model_tokens == 5


def test_a_full_ledger_forgets_nobody_who_used_something_today() -> None:
    ledger = Ledger(accounts_limit=2)
    limits = Limits(model_tokens=1)
    for name in ("a", "b"):
        account = account_of(ledger, Holder("tenant", name), limits=limits)
        ledger.count([account], up=1, down=0, now_s=NOON_S)
    with pytest.raises(OverBudgetError, match="keeps books for 2 holders"):
        account_of(ledger, Holder("tenant", "c"), limits=limits)
    unlimited = account_of(ledger, Holder("tenant", "d"))
    assert unlimited.bytes_up == 0, "who has no budget needs no account"
    assert ledger.largest(10)[1] == 0
    assert len(ledger.largest(10)[0]) == 2
    tomorrow_s = NOON_S + DAY_S
    assert account_of(ledger, Holder("tenant", "c"), tomorrow_s, limits).bytes_up == 0
    assert [a.holder.tenant for a in ledger.largest(10)[0]] == ["c"]


def test_a_proxy_that_is_started_again_forgets_nobody_who_used_something_today() -> None:
    before, limits = Ledger(), Limits(model_tokens=1)
    for name in ("a", "b"):
        before.count([account_of(before, Holder("tenant", name))], up=1, down=0, now_s=NOON_S)
    ledger = Ledger(before.take_changed().values(), accounts_limit=2)
    with pytest.raises(OverBudgetError, match="keeps books for 2 holders"):
        account_of(ledger, Holder("tenant", "c"), limits=limits)
    assert len(ledger.largest(10)[0]) == 2


def names(ledger: Ledger) -> list[str]:
    return sorted(account.holder.tenant for account in ledger.largest(10)[0])


def test_what_counts_no_more_is_forgotten_at_the_change_of_the_day() -> None:
    ledger = Ledger()
    for name, spend in (("quiet", 0), ("spender", 5)):
        account = account_of(ledger, Holder("tenant", name))
        taken = Reservation(0, 0)
        ledger.settle([account], taken, tokens=1, microusd=spend, is_told=True, now_s=NOON_S)
    ledger.sweep(NOON_S + 1)
    assert names(ledger) == ["quiet", "spender"]
    tomorrow_s = NOON_S + DAY_S
    account_of(ledger, Holder("tenant", "new"), tomorrow_s)
    assert names(ledger) == ["new", "spender"], "what was spent counts for the month"
    assert {account.holder.tenant for account in ledger.take_changed()} == {"spender"}
    ledger.sweep(NOON_S + 40 * DAY_S)
    assert names(ledger) == []


def test_what_is_open_or_reserved_over_midnight_is_not_forgotten() -> None:
    ledger = Ledger()
    held = {name: [(account_of(ledger, Holder("tenant", name)), Limits())] for name in "abc"}
    ledger.open(held["a"], is_tunnel=False, bytes_up=0, now_s=NOON_S)
    ledger.open(held["b"], is_tunnel=True, bytes_up=0, now_s=NOON_S)
    ledger.reserve(held["c"], tokens=5, microusd=0, now_s=NOON_S)
    ledger.sweep(NOON_S + DAY_S)
    assert names(ledger) == ["a", "b", "c"]


def test_nobody_gets_a_fresh_burst_because_the_day_changed() -> None:
    ledger = Ledger()
    midnight_s = NOON_S + DAY_S / 2
    slow = {"requests_per_s": 0.01, "requests_burst": 1}
    ledger.open(
        claims(ledger, midnight_s - 1, **slow), is_tunnel=False, bytes_up=0, now_s=midnight_s - 1
    )
    ledger.close([ledger.largest(1)[0][0]], is_tunnel=False)
    with pytest.raises(OverBudgetError, match="requests_per_s"):
        ledger.open(
            claims(ledger, midnight_s, **slow), is_tunnel=False, bytes_up=0, now_s=midnight_s
        )
    ledger.sweep(midnight_s + DAY_S)
    assert names(ledger) == []


def test_a_report_keeps_nothing_from_being_forgotten() -> None:
    ledger = Ledger()
    account = account_of(ledger, Holder("tenant", "quiet"))
    ledger.count([account], up=1, down=0, now_s=NOON_S)
    tomorrow_s = NOON_S + DAY_S
    account.begin(day_at(tomorrow_s))
    ledger.sweep(tomorrow_s)
    assert names(ledger) == []


def test_the_largest_come_first_and_the_rest_is_counted() -> None:
    ledger = Ledger()
    for name, tokens in (("a", 1), ("b", 3), ("c", 2)):
        account = account_of(ledger, Holder("tenant", name))
        ledger.settle(
            [account], Reservation(0, 0), tokens=tokens, microusd=0, is_told=True, now_s=NOON_S
        )
    largest, left_out = ledger.largest(2)
    assert [account.holder.tenant for account in largest] == ["b", "c"]
    assert left_out == 1
