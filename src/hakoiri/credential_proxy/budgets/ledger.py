"""The books: an account for each holder, checked all together, changed all together. No I/O.

Whoever asks is told no by the first holder whose budget does not allow it, and then nothing was
taken from any. There is one thread, so between a check and what it allows nothing happens.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from hakoiri.credential_proxy.budgets.account import Account, Entry
from hakoiri.credential_proxy.budgets.calendar import Day, day_at
from hakoiri.credential_proxy.budgets.holder import Holder, OverBudgetError
from hakoiri.credential_proxy.budgets.limits import NO_LIMITS, Limits

ACCOUNTS_LIMIT: Final = 50_000
"""About 30 MB. A holder beyond it that has a budget is refused: forgetting one would be a gift."""

Claims = Sequence[tuple[Account, Limits]]
"""The accounts that a request is taken from, each with what limits it now."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """What was set aside for one model call."""

    tokens: int
    microusd: int


class Ledger:
    """Accounts by holder; `changed` are those that are not kept yet as they are."""

    def __init__(
        self, entries: Iterable[Entry] = (), *, accounts_limit: int = ACCOUNTS_LIMIT
    ) -> None:
        """Go on from what was kept."""
        self._accounts = {entry.holder.key: Account.of(entry) for entry in entries}
        self._accounts_limit = accounts_limit
        self._swept_on_day: int | None = None
        self.changed: set[Account] = set()

    def claims(
        self, holders: Sequence[Holder], limits: Sequence[Limits], now_s: float
    ) -> list[tuple[Account, Limits]]:
        """Return the accounts of `holders`, as of today, each with its limits.

        Raises:
            OverBudgetError: there are too many, and one of these has a budget to be kept.
        """
        self.sweep(now_s)
        today = day_at(now_s)
        claims = []
        for holder, limit in zip(holders, limits, strict=True):
            account = self._accounts.get(holder.key)
            if account is None:
                account = self._new(holder, limit, today, now_s)
            account.begin(today)
            claims.append((account, limit))
        return claims

    def _new(self, holder: Holder, limits: Limits, today: Day, now_s: float) -> Account:
        account = Account(holder, today.number, today.month)
        if len(self._accounts) < self._accounts_limit:
            self._accounts[holder.key] = account
        elif limits != NO_LIMITS:
            reason = f"the proxy keeps books for {self._accounts_limit} holders, not more today"
            raise OverBudgetError(reason, retry_after_s=today.ends_s - now_s, is_passing=False)
        return account

    def sweep(self, now_s: float) -> None:
        """Forget, once a day, the accounts without which nothing would be lost."""
        today = day_at(now_s)
        if self._swept_on_day == today.number:  # looking through all of them is for once a day
            return
        self._swept_on_day = today.number
        for account in [a for a in self._accounts.values() if a.is_idle(today, now_s)]:
            del self._accounts[account.holder.key]
            self.changed.discard(account)

    def open(self, claims: Claims, *, is_tunnel: bool, bytes_up: int, now_s: float) -> None:
        """Let a request or tunnel begin; `close` it in any case.

        Raises:
            OverBudgetError: a budget does not allow it; none was taken from.
        """
        today = day_at(now_s)
        for account, limits in claims:
            if limits is not NO_LIMITS:
                account.check_open_now(limits, today, now_s, is_tunnel=is_tunnel, bytes_up=bytes_up)
        for account, limits in claims:
            account.requests += 1
            if limits.requests_per_s is not None:
                account.allowance -= 1
            account.open_tunnels += is_tunnel
            account.open_requests += not is_tunnel
            self.changed.add(account)

    def close(self, accounts: Iterable[Account], *, is_tunnel: bool) -> None:
        """A request or tunnel that was let begin has ended."""
        for account in accounts:
            account.open_tunnels -= is_tunnel
            account.open_requests -= not is_tunnel

    def count(self, accounts: Iterable[Account], *, up: int, down: int, now_s: float) -> None:
        """Count bytes that have passed."""
        today = day_at(now_s)
        for account in accounts:
            account.begin(today)
            account.bytes_up += up
            account.bytes_down += down
            self.changed.add(account)

    def check_counted(self, claims: Claims, now_s: float) -> None:
        """Check that the bytes counted so far are within the budgets.

        Raises:
            OverBudgetError: they are not.
        """
        today = day_at(now_s)
        for account, limits in claims:
            account.check_counted(limits, today, now_s)

    def reserve(self, claims: Claims, *, tokens: int, microusd: int, now_s: float) -> Reservation:
        """Set aside what a model call may take; `settle` it in any case.

        Raises:
            OverBudgetError: a budget does not have that much left; nothing was set aside.
        """
        today = day_at(now_s)
        for account, limits in claims:
            account.begin(today)
            account.check_model(limits, today, now_s, tokens=tokens, microusd=microusd)
        for account, _ in claims:
            account.reserved_tokens += tokens
            account.reserved_microusd += microusd
            self.changed.add(account)
        return Reservation(tokens, microusd)

    def settle(
        self,
        accounts: Iterable[Account],
        reservation: Reservation,
        *,
        tokens: int,
        microusd: int,
        is_told: bool,
        now_s: float,
    ) -> None:
        """Put what a model call took in the place of what was set aside for it.

        `is_told` is False when its provider did not come to tell.
        """
        today = day_at(now_s)
        for account in accounts:
            account.begin(today)
            account.reserved_tokens -= reservation.tokens
            account.reserved_microusd -= reservation.microusd
            account.model_tokens += tokens
            account.spend_microusd += microusd
            account.month_spend_microusd += microusd
            account.untold_calls += not is_told
            self.changed.add(account)

    def take_changed(self) -> dict[Account, Entry]:
        """Return what is to be kept of the accounts that changed since."""
        changed, self.changed = self.changed, set()
        return {
            account: account.entry()
            for account in changed
            if self._accounts.get(account.holder.key) is account
        }

    def largest(self, limit: int) -> tuple[list[Account], int]:
        """Return the accounts with most used, at most `limit`, and how many are left out."""
        accounts = heapq.nlargest(
            limit,
            self._accounts.values(),
            key=lambda a: (a.month_spend_microusd, a.model_tokens, a.bytes_up + a.bytes_down),
        )
        return accounts, len(self._accounts) - len(accounts)
