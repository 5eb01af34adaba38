import pytest

from hakoiri.cli.sizes import shown_size


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (5 * 1024**3, "5.0 GiB"),
        (2**50, "1048576.0 GiB"),
    ],
)
def test_a_size_is_told_in_the_unit_that_it_fills(size_bytes: int, shown: str) -> None:
    assert shown_size(size_bytes) == shown
