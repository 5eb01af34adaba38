import pytest

from hakoiri.credential_proxy.budgets.holder import (
    PASSING_MAX_S,
    RETRY_AFTER_MAX_S,
    Holder,
    holders_of,
    over_rate,
    over_sum,
)


def test_a_workspace_is_one_of_its_tenant() -> None:
    installation, tenant, workspace = holders_of("t", "w")
    assert [str(holder) for holder in (installation, tenant, workspace)] == [
        "the installation",
        "the tenant t",
        "the workspace w",
    ]
    assert workspace != holders_of("other", "w")[2]


@pytest.mark.parametrize(
    ("reset_s", "told_s"), [(-5, 1), (0, 1), (0.2, 1), (59.1, 60), (80_000, RETRY_AFTER_MAX_S)]
)
def test_the_time_to_come_again_is_bounded(reset_s: float, told_s: int) -> None:
    error = over_sum(
        Holder("tenant", "t"), "bytes_up_per_day", limit=1, used=1, asked=0, resets="x",
        reset_s=reset_s,
    )  # fmt: skip
    assert error.retry_after_s == told_s
    assert not error.is_passing


def test_what_passes_is_not_waited_for_long() -> None:
    error = over_rate(Holder("tenant", "t"), "requests_per_s", limit=0.001, wait_s=1000)
    assert error.retry_after_s == PASSING_MAX_S
    assert over_rate(Holder("tenant", "t"), "x", limit=1, wait_s=0.2).retry_after_s == 1


def test_spend_is_told_in_dollars() -> None:
    error = over_sum(
        Holder("tenant", "t"), "spend_usd_per_day", limit=2_500_000, used=2_000_001, asked=5,
        resets="2026-01-02T00:00:00Z", reset_s=9,
    )  # fmt: skip
    assert str(error) == (
        "the tenant t is over its budget spend_usd_per_day: the limit is 2.5, 2.000001 are used or"
        " reserved, and this request may need 0.000005 more; it begins anew at"
        " 2026-01-02T00:00:00Z"
    )


def test_the_installation_s_figures_stay_untold() -> None:
    told = over_rate(Holder("installation"), "requests_per_s", limit=77, wait_s=1)
    assert "77" not in str(told)
    assert told.is_passing
    told = over_sum(
        Holder("installation"), "spend_usd_per_day", limit=77, used=77, asked=77, resets="then",
        reset_s=1,
    )  # fmt: skip
    assert "77" not in str(told)
