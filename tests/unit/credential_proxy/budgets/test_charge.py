import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.budgets.account import Account
from hakoiri.credential_proxy.budgets.charge import (
    INPUT_TOKENS_MAX,
    TOKENS_PER_S,
    ChargeError,
    ModelCharge,
)
from hakoiri.credential_proxy.budgets.holder import OverBudgetError
from hakoiri.credential_proxy.budgets.ledger import Ledger
from hakoiri.credential_proxy.budgets.meter import Meter
from hakoiri.credential_proxy.budgets.prices import Price
from hakoiri.credential_proxy.budgets.settings import Terms
from hakoiri.credential_proxy.budgets.usage import Usage

from .books import Clock, claims, terms

PRICES = {"m": Price(input=1, output=2, cache_write=4, cache_read=0)}
SSE = {"content-type": "text/event-stream; charset=utf-8"}


def event(kind: str, **fields: Any) -> bytes:
    return f"data: {json.dumps({'type': kind, **fields})}\n\n".encode()


START = event("message_start", message={"usage": {"input_tokens": 7, "output_tokens": 1}})
END = event("message_delta", usage={"output_tokens": 30}) + event("message_stop")


class Call:
    """One call of the model m, and the account that it is taken from."""

    def __init__(
        self, current: Terms | None = None, model: str | None = "m", **limits: Any
    ) -> None:
        self.clock = Clock()
        ledger = Ledger()
        [(self.account, made)] = claims(ledger, **limits)
        meter = Meter(
            ledger=ledger, accounts=[self.account], limits=lambda: [made], now_s=self.clock
        )
        self.charge = ModelCharge(
            meter=meter, terms=current or terms(PRICES), model=model, now_s=self.clock
        )

    def reserve(self, body_bytes: int = 100, max_tokens: int | None = 50) -> None:
        self.charge.reserve(model=None, body_bytes=body_bytes, max_tokens=max_tokens)

    def send(self, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.charge.sends()
        self.charge.answered(status, headers or SSE, is_readable=True)


def state(account: Account) -> tuple[int, int, int, int]:
    return (account.model_tokens, account.reserved_tokens, account.spend_microusd,
            account.reserved_microusd)  # fmt: skip


def test_a_byte_of_the_body_and_a_token_of_the_answer_are_reserved_at_the_dearest() -> None:
    call = Call(model_tokens=1000, spend_microusd=1000)
    call.reserve()
    assert state(call.account) == (0, 150, 0, 100 * 4 + 50 * 2)


def test_no_more_input_is_reserved_than_a_model_takes() -> None:
    call = Call(model_tokens=10**9)
    call.reserve(body_bytes=INPUT_TOKENS_MAX * 30)
    assert call.account.reserved_tokens == INPUT_TOKENS_MAX + 50


def test_what_the_provider_told_is_charged_and_the_rest_given_back() -> None:
    call = Call(model_tokens=1000)
    call.reserve()
    call.send()
    call.charge.feed(START + END)
    call.charge.finish()
    charged = call.charge.settle()
    assert charged is not None
    assert (charged.usage, charged.spend_microusd, charged.is_told) == (Usage(7, 30), 67, True)
    assert state(call.account) == (37, 0, 67, 0)
    assert call.charge.settle() is None, "once is enough"
    assert state(call.account) == (37, 0, 67, 0)


def test_without_a_budget_it_is_charged_too() -> None:
    call = Call()
    assert not call.charge.needs_reservation
    call.send()
    call.charge.feed(START + END)
    assert call.charge.settle() is not None
    assert state(call.account) == (37, 0, 67, 0)


@pytest.mark.parametrize("ending", ["refused", "never sent", "not even tried"])
def test_a_call_that_did_not_come_about_costs_nothing(ending: str) -> None:
    call = Call(model_tokens=1000)
    call.reserve()
    if ending == "refused":
        call.send(status=529)
    elif ending == "never sent":
        call.charge.sends()
        call.charge.never_sent()
    assert call.charge.settle() is None
    assert state(call.account) == (0, 0, 0, 0)


def test_a_stream_that_is_cut_is_charged_by_its_bytes_and_its_time() -> None:
    call = Call(model_tokens=10**6)
    call.reserve(max_tokens=100_000)
    call.send()
    call.charge.feed(START)
    call.clock.now_s += 3
    charged = call.charge.settle()
    assert charged is not None
    made = len(START) + 3 * TOKENS_PER_S + 1
    assert (charged.usage, charged.is_told) == (Usage(7, made), False)
    assert call.account.model_tokens == 7 + made


def test_a_stream_that_is_cut_after_long_costs_no_more_than_was_reserved() -> None:
    call = Call(model_tokens=1000, spend_microusd=1000)
    call.reserve()
    call.send()
    call.clock.now_s += 3600
    reserved = call.account.reserved_microusd
    assert call.charge.settle() is not None
    assert state(call.account) == (150, 0, reserved, 0), "nothing was told, not even the input"


@given(st.integers(0, 200), st.floats(0, 10**6), st.sampled_from(["reserved", "not reserved"]))
def test_cutting_never_costs_less_than_what_was_told(seen: int, passed_s: float, how: str) -> None:
    call = Call(model_tokens=1000)
    if how == "reserved":
        call.reserve()
    call.send()
    call.charge.feed((START + END)[:seen])
    call.clock.now_s += passed_s
    charged = call.charge.settle()
    assert charged is not None
    assert charged.usage.output_tokens >= 1
    assert call.account.model_tokens == charged.usage.total > 0
    assert call.account.reserved_tokens == 0


def test_an_answer_that_cannot_be_read_is_charged_as_if_it_were_cut() -> None:
    call = Call(model_tokens=1000)
    call.reserve()
    call.charge.sends()
    call.charge.answered(200, SSE, is_readable=False)
    call.charge.feed(START + END)
    call.charge.finish()
    charged = call.charge.settle()
    assert charged is not None
    assert (charged.usage, charged.is_told) == (Usage(100, 50), False)


def test_a_document_and_its_headers_are_understood() -> None:
    call = Call()
    headers = {"content-type": "application/json", "x-amzn-bedrock-output-token-count": "9"}
    call.send(headers=headers)
    charged = call.charge.settle()
    assert charged is not None
    assert (charged.usage, charged.is_told) == (Usage(0, 9), True)


def test_a_model_that_the_path_does_not_name_is_priced_by_its_answer() -> None:
    call = Call(model=None)
    call.send()
    message = {"model": "m", "usage": {"input_tokens": 7, "output_tokens": 1}}
    call.charge.feed(event("message_start", message=message) + END)
    charged = call.charge.settle()
    assert charged is not None
    assert charged.spend_microusd == 67


def test_a_model_without_a_price_is_counted_and_refused_under_a_budget_of_spend() -> None:
    call = Call(model="other", model_tokens=1000)
    call.reserve()
    call.send()
    call.charge.feed(START + END)
    charged = call.charge.settle()
    assert charged is not None
    assert charged.spend_microusd is None
    assert state(call.account) == (37, 0, 0, 0)
    for budget in ("spend_microusd", "month_spend_microusd"):
        call = Call(model="other", **{budget: 10**9})  # type: ignore[arg-type]
        with pytest.raises(ChargeError, match=r"no price for the model 'other'.*\[prices\]") as no:
            call.reserve()
        assert (no.value.status, no.value.code) == (400, "model-without-price")
        assert state(call.account) == (0, 0, 0, 0)


def test_without_a_most_a_default_is_reserved_or_the_call_refused() -> None:
    call = Call(model_tokens=1000)
    with pytest.raises(ChargeError, match="max_tokens") as no:
        call.reserve(max_tokens=None)
    assert (no.value.status, no.value.code) == (400, "max-tokens-missing")
    call = Call(terms(PRICES, default_max_tokens=70), model_tokens=1000)
    call.reserve(max_tokens=None)
    assert call.account.reserved_tokens == 170


def test_what_does_not_fit_is_refused_and_settles_to_nothing() -> None:
    call = Call(model_tokens=149)
    with pytest.raises(OverBudgetError):
        call.reserve()
    assert call.charge.settle() is None
    assert state(call.account) == (0, 0, 0, 0)
