import pytest
from benchmarks.runtimes import mebibytes


@pytest.mark.parametrize(
    ("text", "mib"), [("231.4MiB ", 231), ("1.5GiB", 1536), ("512KiB", 0), ("2048KiB", 2)]
)
def test_what_the_engine_prints_of_memory_is_read(text: str, mib: int) -> None:
    assert mebibytes(text) == mib
