from pathlib import Path

import pytest

from hakoiri.host.adapters.kept_file import LIMIT_BYTES
from hakoiri.host.adapters.pool_file import NAME, PoolFile
from hakoiri.host.containers.ports import PoolStoreError
from hakoiri.wire.pool import PoolConfiguration, PoolSize

pytestmark = pytest.mark.anyio

SETTING = PoolConfiguration(
    runtimes={"runc": PoolSize(min=1, target=2, max=3)},
    max_age_s=60,
    refills_at_once=1,
    preconnect=True,
)


def kept_in(directory: Path) -> list[tuple[str, int]]:
    return [(path.name, path.stat().st_mode & 0o777) for path in directory.iterdir()]


async def test_what_is_kept_comes_back_and_can_be_forgotten(tmp_path: Path) -> None:
    store = PoolFile(tmp_path)
    assert await store.load() is None
    await store.save(SETTING)
    assert await PoolFile(tmp_path).load() == SETTING
    assert kept_in(tmp_path) == [(NAME, 0o600)]
    await store.clear()
    await store.clear()
    assert await store.load() is None


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"\xff", b" " * (LIMIT_BYTES + 1), b'{"runtimes": {"kata": null}}'],
)
async def test_what_is_no_setting_is_told_with_its_place(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(PoolStoreError, match=NAME):
        await PoolFile(tmp_path).load()


async def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(PoolStoreError, match="cannot be written"):
        await PoolFile(tmp_path / "none").save(SETTING)
    (tmp_path / NAME).mkdir()
    with pytest.raises(PoolStoreError, match="cannot be read"):
        await PoolFile(tmp_path).load()
    with pytest.raises(PoolStoreError, match="cannot be removed"):
        await PoolFile(tmp_path).clear()
