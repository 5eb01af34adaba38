"""What one holder has used and holds now. No I/O."""

from dataclasses import dataclass

from hakoiri.credential_proxy.budgets.calendar import Day
from hakoiri.credential_proxy.budgets.holder import Holder, over_rate, over_sum
from hakoiri.credential_proxy.budgets.limits import Limits

WAIT_FOR_A_PLACE_S = 1.0


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept of an account. What is reserved counts as used, until it is known better."""

    holder: Holder
    day: int
    month: int
    requests: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    model_tokens: int = 0
    spend_microusd: int = 0
    month_spend_microusd: int = 0


@dataclass(slots=True, eq=False)
class Account:
    """Sums of a day and a month, and what is open and reserved at the moment.

    Each is one of its kind, known by identity: sets of them cost little.
    """

    holder: Holder
    day: int
    month: int
    requests: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    model_tokens: int = 0
    spend_microusd: int = 0
    month_spend_microusd: int = 0
    untold_calls: int = 0
    """Model calls of today whose usage was not told; not kept."""

    reserved_tokens: int = 0
    reserved_microusd: int = 0
    open_requests: int = 0
    open_tunnels: int = 0
    allowance: float = 0.0
    """How many requests may come at once, as of `allowance_at_s`; full at first."""

    allowance_at_s: float | None = None
    allowance_full_at_s: float = 0.0
    """Until then it makes a difference how many came before."""

    @classmethod
    def of(cls, entry: Entry) -> "Account":
        """Take up an account where it was left."""
        return cls(
            holder=entry.holder,
            day=entry.day,
            month=entry.month,
            requests=entry.requests,
            bytes_up=entry.bytes_up,
            bytes_down=entry.bytes_down,
            model_tokens=entry.model_tokens,
            spend_microusd=entry.spend_microusd,
            month_spend_microusd=entry.month_spend_microusd,
        )

    def entry(self) -> Entry:
        """Return what is to be kept."""
        return Entry(
            holder=self.holder,
            day=self.day,
            month=self.month,
            requests=self.requests,
            bytes_up=self.bytes_up,
            bytes_down=self.bytes_down,
            model_tokens=self.model_tokens + self.reserved_tokens,
            spend_microusd=self.spend_microusd + self.reserved_microusd,
            month_spend_microusd=self.month_spend_microusd + self.reserved_microusd,
        )

    def begin(self, today: Day) -> None:
        """Begin the sums of a new day and month.

        A clock that is set back over midnight begins none; one that was a day or more ahead does.
        """
        if today.number == self.day and today.month == self.month:
            return
        if today.number > self.day or today.number < self.day - 1:
            self.day = today.number
            self.requests = self.bytes_up = self.bytes_down = 0
            self.model_tokens = self.spend_microusd = self.untold_calls = 0
        if today.month > self.month or today.month < self.month - 1:
            self.month = today.month
            self.month_spend_microusd = 0

    def is_idle(self, today: Day, now_s: float) -> bool:
        """Whether nothing would be lost without it.

        Its day may be today's though nothing was used today: who asks for a report begins it.
        """
        is_held = self.open_requests or self.open_tunnels
        is_reserved = self.reserved_tokens or self.reserved_microusd
        is_of_today = self.day >= today.number and self._has_used_today
        is_of_month = self.month >= today.month and self.month_spend_microusd > 0
        is_waited_for = now_s < self.allowance_full_at_s
        return not (is_held or is_reserved or is_of_today or is_of_month or is_waited_for)

    @property
    def _has_used_today(self) -> bool:
        sums = (self.requests, self.bytes_up, self.bytes_down, self.model_tokens)
        return any(sums) or self.spend_microusd > 0 or self.untold_calls > 0

    def refill(self, limits: Limits, now_s: float) -> None:
        """Let the time that passed count towards the requests that may come at once."""
        if limits.requests_per_s is None or limits.requests_burst is None:
            self.allowance_at_s = None
            return
        if self.allowance_at_s is None:
            self.allowance = float(limits.requests_burst)
        else:
            passed_s = max(0.0, now_s - self.allowance_at_s)
            grown = self.allowance + passed_s * limits.requests_per_s
            self.allowance = min(float(limits.requests_burst), grown)
        self.allowance_at_s = now_s
        lacking = limits.requests_burst - self.allowance + 1  # with the one that is about to come
        self.allowance_full_at_s = now_s + lacking / limits.requests_per_s

    def check_open_now(
        self, limits: Limits, today: Day, now_s: float, *, is_tunnel: bool, bytes_up: int
    ) -> None:
        """Check that a request or tunnel may begin. Raises OverBudgetError."""
        self.refill(limits, now_s)
        self.check_rate(limits)
        self.check_open(limits, is_tunnel=is_tunnel)
        self.check_bytes(limits, today, now_s, up=bytes_up)

    def check_rate(self, limits: Limits) -> None:
        """Check that one more request may come now. Raises OverBudgetError."""
        rate = limits.requests_per_s
        if rate is not None and self.allowance < 1:
            wait_s = (1 - self.allowance) / rate
            raise over_rate(self.holder, "requests_per_s", limit=rate, wait_s=wait_s)

    def check_open(self, limits: Limits, *, is_tunnel: bool) -> None:
        """Check that one more request or tunnel may be open. Raises OverBudgetError."""
        name = "concurrent_tunnels" if is_tunnel else "concurrent_requests"
        limit = limits.concurrent_tunnels if is_tunnel else limits.concurrent_requests
        taken = self.open_tunnels if is_tunnel else self.open_requests
        if limit is not None and taken >= limit:
            raise over_rate(self.holder, name, limit=limit, wait_s=WAIT_FOR_A_PLACE_S)

    def check_bytes(self, limits: Limits, today: Day, now_s: float, *, up: int) -> None:
        """Check that a request with `up` bytes may go, and any answer come. Raises OverBudgetError.

        What is used up exactly lets nothing more through.
        """
        if limits.bytes_up is not None and self.bytes_up + up > limits.bytes_up:
            self._refuse(
                "bytes_up_per_day", limits.bytes_up, self.bytes_up, up, today=today, now_s=now_s
            )
        if limits.bytes_down is not None and self.bytes_down >= limits.bytes_down:
            self._refuse(
                "bytes_down_per_day",
                limits.bytes_down,
                self.bytes_down,
                0,
                today=today,
                now_s=now_s,
            )

    def check_counted(self, limits: Limits, today: Day, now_s: float) -> None:
        """Check the bytes that have passed already. Raises OverBudgetError."""
        if limits.bytes_up is not None and self.bytes_up > limits.bytes_up:
            self._refuse(
                "bytes_up_per_day", limits.bytes_up, self.bytes_up, 0, today=today, now_s=now_s
            )
        if limits.bytes_down is not None and self.bytes_down > limits.bytes_down:
            self._refuse(
                "bytes_down_per_day",
                limits.bytes_down,
                self.bytes_down,
                0,
                today=today,
                now_s=now_s,
            )

    def check_model(
        self, limits: Limits, today: Day, now_s: float, *, tokens: int, microusd: int
    ) -> None:
        """Check that so much may be reserved for a model call. Raises OverBudgetError."""
        used = self.model_tokens + self.reserved_tokens
        if limits.model_tokens is not None and used + tokens > limits.model_tokens:
            self._refuse(
                "model_tokens_per_day", limits.model_tokens, used, tokens, today=today, now_s=now_s
            )
        used = self.spend_microusd + self.reserved_microusd
        if limits.spend_microusd is not None and used + microusd > limits.spend_microusd:
            self._refuse(
                "spend_usd_per_day", limits.spend_microusd, used, microusd, today=today, now_s=now_s
            )
        used, limit = (
            self.month_spend_microusd + self.reserved_microusd,
            limits.month_spend_microusd,
        )
        if limit is not None and used + microusd > limit:
            self._refuse("spend_usd_per_month", limit, used, microusd, today=today, now_s=now_s)

    def _refuse(
        self, name: str, limit: int, used: int, asked: int, *, today: Day, now_s: float
    ) -> None:
        is_month = name.endswith("_month")
        raise over_sum(
            self.holder,
            name,
            limit=limit,
            used=used,
            asked=asked,
            resets=today.month_ends if is_month else today.ends,
            reset_s=(today.month_ends_s if is_month else today.ends_s) - now_s,
        )
