from pathlib import Path

import pytest
from benchmarks.object_sync import QUICK, WHOLE, Command
from tests.s3_server import S3Server

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_peer_that_fails_is_told_with_what_it_said(tmp_path: Path) -> None:
    server = S3Server(1, tmp_path, [])
    peer = Command("peer", ["sh", "-c", "echo no such bucket >&2; exit 3"], [], server)
    with pytest.raises(RuntimeError, match="peer: no such bucket"):
        await peer.up()


def test_a_smaller_tree_has_bars_of_its_own_names() -> None:
    assert WHOLE.bars["10000 small files: nothing changed"] == 0.5
    assert WHOLE.bars["20 x 50 MiB: upload"] == 1.1
    assert not WHOLE.bars.keys() & QUICK.bars.keys()
