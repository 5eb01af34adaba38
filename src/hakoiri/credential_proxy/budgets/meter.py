"""What one request takes from the budgets of its holders, while it runs. No I/O."""

from collections.abc import Callable, Sequence
from typing import Final

from hakoiri.credential_proxy.budgets.account import Account
from hakoiri.credential_proxy.budgets.ledger import Claims, Ledger, Reservation
from hakoiri.credential_proxy.budgets.limits import Limits

COUNTED_AT_BYTES: Final = 64 * 1024
"""So many bytes may pass before they are counted: by this, and a piece, a budget is overrun."""

LimitsNow = Callable[[], Sequence[Limits]]
Clock = Callable[[], float]


class Meter:
    """Counts for `accounts`, by the limits that are in force at the moment. `close` it once."""

    __slots__ = ("_accounts", "_down", "_is_tunnel", "_ledger", "_limits", "_now_s", "_up")

    def __init__(
        self,
        *,
        ledger: Ledger,
        accounts: Sequence[Account],
        limits: LimitsNow,
        now_s: Clock,
        is_tunnel: bool = False,
    ) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._limits = limits
        self._now_s = now_s
        self._is_tunnel = is_tunnel
        self._up = 0
        self._down = 0

    def up(self, size_bytes: int) -> None:
        """Count bytes that the container sends. Raises OverBudgetError."""
        self._up += size_bytes
        if self._up >= COUNTED_AT_BYTES:
            self._count()
            self._ledger.check_counted(self._claims(), self._now_s())

    def down(self, size_bytes: int) -> None:
        """Count bytes that the container is sent. Raises OverBudgetError."""
        self._down += size_bytes
        if self._down >= COUNTED_AT_BYTES:
            self._count()
            self._ledger.check_counted(self._claims(), self._now_s())

    @property
    def limits_model(self) -> bool:
        """Whether model calls must be reserved for."""
        return any(limits.limits_model for limits in self._limits())

    @property
    def limits_spend(self) -> bool:
        """Whether model calls need a price."""
        return any(limits.limits_spend for limits in self._limits())

    def reserve(self, *, tokens: int, microusd: int) -> Reservation:
        """Set aside what a model call may take. Raises OverBudgetError."""
        now_s = self._now_s()
        return self._ledger.reserve(self._claims(), tokens=tokens, microusd=microusd, now_s=now_s)

    def settle(
        self, reservation: Reservation, *, tokens: int, microusd: int, is_told: bool = True
    ) -> None:
        """Put what it took in the place of what was set aside."""
        self._ledger.settle(
            self._accounts,
            reservation,
            tokens=tokens,
            microusd=microusd,
            is_told=is_told,
            now_s=self._now_s(),
        )

    def close(self) -> None:
        """Count the rest; the request is over."""
        if self._up or self._down:
            self._count()
        self._ledger.close(self._accounts, is_tunnel=self._is_tunnel)

    def _count(self) -> None:
        up, down, self._up, self._down = self._up, self._down, 0, 0
        self._ledger.count(self._accounts, up=up, down=down, now_s=self._now_s())

    def _claims(self) -> Claims:
        return list(zip(self._accounts, self._limits(), strict=True))
