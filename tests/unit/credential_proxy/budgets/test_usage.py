from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.budgets.usage import Usage

USAGE = st.builds(Usage, *[st.integers(0, 10**9)] * 4)


@given(USAGE, USAGE)
def test_what_is_told_only_grows(one: Usage, other: Usage) -> None:
    raised = one.raised_to(other)
    assert raised.total >= max(one.total, other.total)
    assert raised.raised_to(one) == raised


def test_the_sum_and_whether_input_was_told() -> None:
    assert Usage(1, 2, 3, 4).total == 10
    assert not Usage(output_tokens=2).has_input
    for told in (Usage(1), Usage(0, 0, 1), Usage(0, 0, 0, 1)):
        assert told.has_input
