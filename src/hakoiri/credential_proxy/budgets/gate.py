"""Where requests come in: whose accounts they are taken from, and may they begin. No I/O."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hakoiri.credential_proxy.budgets.holder import holders_of
from hakoiri.credential_proxy.budgets.ledger import Ledger
from hakoiri.credential_proxy.budgets.limits import Limits
from hakoiri.credential_proxy.budgets.meter import Clock, Meter
from hakoiri.credential_proxy.budgets.settings import Terms
from hakoiri.wire.budget import Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The ledger and the clock that all sockets share; the clock tells seconds since 1970."""

    ledger: Ledger
    now_s: Clock

    def open(
        self,
        *,
        tenant: str,
        workspace: str,
        own: Budget | None,
        terms: Callable[[], Terms],
        is_tunnel: bool,
        bytes_up: int,
    ) -> Meter:
        """Let a request of `workspace` begin; `close` its meter in any case.

        Raises:
            OverBudgetError: a budget does not allow it.
        """

        def limits_now() -> Sequence[Limits]:
            return terms().budgets.limits_for(tenant, own)

        now_s = self.now_s()
        claims = self.ledger.claims(holders_of(tenant, workspace), limits_now(), now_s)
        self.ledger.open(claims, is_tunnel=is_tunnel, bytes_up=bytes_up, now_s=now_s)
        return Meter(
            ledger=self.ledger,
            accounts=[account for account, _ in claims],
            limits=limits_now,
            now_s=self.now_s,
            is_tunnel=is_tunnel,
        )

    def unbound(self) -> Meter:
        """Return a meter for requests that belong to nobody, which are refused anyway."""
        return Meter(ledger=self.ledger, accounts=(), limits=tuple, now_s=self.now_s)
