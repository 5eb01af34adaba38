import pytest

from hakoiri.credential_proxy.budgets.holder import OverBudgetError
from hakoiri.credential_proxy.budgets.ledger import Ledger
from hakoiri.credential_proxy.budgets.limits import Limits
from hakoiri.credential_proxy.budgets.meter import COUNTED_AT_BYTES, Meter

from .books import NOON_S, Clock, claims


def test_bytes_are_counted_in_pieces_and_the_rest_at_the_end() -> None:
    ledger = Ledger()
    [(account, _)] = claims(ledger)
    meter = Meter(ledger=ledger, accounts=[account], limits=lambda: [Limits()], now_s=Clock())
    meter.up(COUNTED_AT_BYTES - 1)
    assert account.bytes_up == 0
    meter.up(1)
    assert account.bytes_up == COUNTED_AT_BYTES
    meter.down(5)
    meter.close()
    assert (account.bytes_up, account.bytes_down) == (COUNTED_AT_BYTES, 5)


def test_limits_are_those_of_the_moment_and_are_overrun_by_a_piece_at_most() -> None:
    ledger = Ledger()
    [(account, _)] = claims(ledger)
    limits = [Limits()]
    meter = Meter(ledger=ledger, accounts=[account], limits=lambda: limits, now_s=Clock())
    meter.down(COUNTED_AT_BYTES)
    meter.up(COUNTED_AT_BYTES)
    limits[0] = Limits(bytes_down=COUNTED_AT_BYTES)
    meter.up(COUNTED_AT_BYTES)
    with pytest.raises(OverBudgetError, match="bytes_down_per_day"):
        meter.down(COUNTED_AT_BYTES)
    assert account.bytes_down == 2 * COUNTED_AT_BYTES, "what was seen is counted all the same"


def test_what_is_reserved_is_settled_with_all_holders() -> None:
    ledger = Ledger()
    [(account, limits)] = claims(ledger, model_tokens=10, spend_microusd=10)
    clock = Clock(NOON_S)
    meter = Meter(ledger=ledger, accounts=[account], limits=lambda: [limits], now_s=clock)
    assert meter.limits_model
    assert meter.limits_spend
    reservation = meter.reserve(tokens=10, microusd=10)
    with pytest.raises(OverBudgetError):
        meter.reserve(tokens=1, microusd=0)
    meter.settle(reservation, tokens=3, microusd=4)
    assert (account.model_tokens, account.reserved_tokens) == (3, 0)
    assert (account.spend_microusd, account.month_spend_microusd) == (4, 4)
