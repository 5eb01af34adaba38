import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hakoiri.wire.pool import SIZE_LIMIT, PoolSize

COUNTS = st.integers(-1, SIZE_LIMIT + 1)


@given(COUNTS, COUNTS, COUNTS)
def test_sizes_are_taken_in_order_and_within_bounds_only(low: int, target: int, high: int) -> None:
    if 0 <= low <= target <= high <= SIZE_LIMIT:
        assert PoolSize(min=low, target=target, max=high).target == target
        return
    with pytest.raises(ValidationError):
        PoolSize(min=low, target=target, max=high)
