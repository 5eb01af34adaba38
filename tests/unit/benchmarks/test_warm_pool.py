import pytest
from benchmarks.warm_pool import check_burst

GOOD = ["warm", "result"] * 3


def test_a_burst_in_which_each_got_its_own_is_well() -> None:
    check_burst(["a", "b", "c"], GOOD, 3)


@pytest.mark.parametrize(
    ("containers", "ends"),
    [
        (["a", "b", "b"], GOOD),
        (["a", "b"], GOOD),
        (["a", "b", "c"], ["cold", "result", *GOOD[:4]]),
        (["a", "b", "c"], ["warm", "error", *GOOD[:4]]),
        (["a", "b", "c"], GOOD[:5]),
    ],
    ids=["doubled", "without one", "cold", "error", "no end"],
)
def test_a_burst_in_which_one_did_not_is_refused(containers: list[str], ends: list[str]) -> None:
    with pytest.raises(RuntimeError, match="of 3 claims at once"):
        check_burst(containers, ends, 3)
