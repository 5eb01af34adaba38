"""One model call: what is reserved for it, and what it is charged in the end. No I/O.

Reserved are as many tokens of input as the body has bytes, since no text has more (at most
`INPUT_TOKENS_MAX`, more than any model takes), and `max_tokens` of output. Charged is what the
provider tells. Where it did not come to tell, because the answer was broken off or could not be
read, the input is charged as it was told, else as it was reserved, and as output the larger of what
was told and what may have been made meanwhile: a token for each byte of the answer and
`TOKENS_PER_S` for each second since the request went out, at most what was reserved.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from hakoiri.credential_proxy.budgets.anthropic_usage import SseUsage
from hakoiri.credential_proxy.budgets.bedrock_usage import FrameUsage
from hakoiri.credential_proxy.budgets.ledger import Reservation
from hakoiri.credential_proxy.budgets.meter import Clock, Meter
from hakoiri.credential_proxy.budgets.prices import Price
from hakoiri.credential_proxy.budgets.settings import Terms
from hakoiri.credential_proxy.budgets.told_usage import usage_of_headers
from hakoiri.credential_proxy.budgets.usage import TOKENS_MAX, Usage, UsageReader
from hakoiri.credential_proxy.budgets.whole_usage import WholeUsage
from hakoiri.credential_proxy.errors import NOT_ALLOWED_STATUS, CredentialProxyError

Operation = Literal["messages", "invoke", "converse"]
"""A call that costs tokens, by the form of its body."""

INPUT_TOKENS_MAX: Final = 1_000_000
TOKENS_PER_S: Final = 1_000
"""Several times the fastest model's pace."""

_SUCCESS: Final = range(200, 300)
_READERS: Final[Mapping[str, type[SseUsage | FrameUsage]]] = {
    "text/event-stream": SseUsage,
    "application/vnd.amazon.eventstream": FrameUsage,
}


class ChargeError(CredentialProxyError):
    """A call cannot be counted, so it must not go out; `code` is stable."""

    def __init__(self, status: int, code: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Charged:
    """What a call took. `is_told` says that the provider counted it; spend needs a price."""

    usage: Usage
    spend_microusd: int | None
    is_told: bool


class ModelCharge:
    """Call `reserve`, `send`, `answered`, `feed`, `finish` as far as it comes, `settle` always."""

    def __init__(self, *, meter: Meter, terms: Terms, model: str | None, now_s: Clock) -> None:
        self._meter = meter
        self._terms = terms
        self._model = model
        self._now_s = now_s
        self._reservation = Reservation(0, 0)
        self._input_tokens = 0
        self._most_tokens: int | None = None
        self._sent_at_s: float | None = None
        self._reader: UsageReader | None = None
        self._answer_bytes = 0
        self._is_free = False
        self._is_settled = False

    @property
    def needs_reservation(self) -> bool:
        """Whether the call must not go out before `reserve`."""
        return self._meter.limits_model

    def reserve(self, *, model: str | None, body_bytes: int, max_tokens: int | None) -> None:
        """Set aside what the call may take at most.

        Raises:
            OverBudgetError: that much is not left.
            ChargeError: there is no price for the model, or no most to reserve.
        """
        self._model = model or self._model
        most = max_tokens or self._terms.budgets.default_max_tokens
        if most is None:
            reason = "the body must name max_tokens, since a budget of tokens or spend is in force"
            raise ChargeError(400, "max-tokens-missing", reason)
        price = self._price(self._model)
        if price is None and self._meter.limits_spend:
            reason = (
                f"there is no price for the model {(self._model or '')[:256]!r}, and a budget of"
                " spend is in force; give it one in [prices] of the proxy's own file"
            )
            raise ChargeError(NOT_ALLOWED_STATUS, "model-without-price", reason)
        self._input_tokens = min(body_bytes, INPUT_TOKENS_MAX)
        self._most_tokens = most
        microusd = 0
        if price is not None:
            microusd = price.most_microusd(input_tokens=self._input_tokens, output_tokens=most)
        self._reservation = self._meter.reserve(tokens=self._input_tokens + most, microusd=microusd)

    def sends(self) -> None:
        """The request goes out now."""
        self._sent_at_s = self._now_s()

    def never_sent(self) -> None:
        """The request did not reach the upstream after all, or was refused there."""
        self._is_free = True

    def answered(self, status: int, headers: Mapping[str, str], *, is_readable: bool) -> None:
        """The answer's head is here, names in lower case; a failed call costs nothing."""
        if status not in _SUCCESS:
            self._is_free = True
            return
        if not is_readable:
            return
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        reader = _READERS.get(media_type)
        self._reader = WholeUsage(usage_of_headers(headers)) if reader is None else reader()

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the answer."""
        self._answer_bytes += len(piece)
        if self._reader is not None:
            self._reader.feed(piece)

    def finish(self) -> None:
        """The answer is whole."""
        if self._reader is not None:
            self._reader.finish()

    def settle(self) -> Charged | None:
        """Charge the call, and return what it took; None when it took nothing."""
        if self._is_settled:
            return None
        self._is_settled = True
        if self._is_free or self._sent_at_s is None:
            self._meter.settle(self._reservation, tokens=0, microusd=0)
            return None
        reader = self._reader
        is_told = reader is not None and reader.is_final
        told = reader.usage if reader is not None else Usage()
        usage = told if is_told else self._at_most(told, self._sent_at_s)
        price = self._price(self._model, reader.model if reader is not None else None)
        spend = None if price is None else price.cost_microusd(usage)
        if price is not None and not is_told and not told.has_input:
            # which kind of input it was is not known either
            spend = price.most_microusd(
                input_tokens=usage.input_tokens, output_tokens=usage.output_tokens
            )
        self._meter.settle(
            self._reservation, tokens=usage.total, microusd=spend or 0, is_told=is_told
        )
        return Charged(usage, spend, is_told)

    def _at_most(self, told: Usage, sent_at_s: float) -> Usage:
        passed_s = max(0.0, self._now_s() - sent_at_s)
        made = min(TOKENS_MAX, self._answer_bytes + int(passed_s * TOKENS_PER_S) + 1)
        if self._most_tokens is not None:
            made = min(made, self._most_tokens)
        unknown = Usage(output_tokens=made)
        if not told.has_input:
            unknown = Usage(input_tokens=self._input_tokens, output_tokens=made)
        return told.raised_to(unknown)

    def _price(self, *models: str | None) -> Price | None:
        for model in models:
            price = self._terms.prices.find(model) if model else None
            if price is not None:
                return price
        return None
