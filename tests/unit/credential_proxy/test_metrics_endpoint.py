from pathlib import Path

import aiohttp
import pytest

from hakoiri.credential_proxy.metrics.exposition import registry_of
from hakoiri.credential_proxy.metrics.request_metrics import RequestMetrics
from hakoiri.credential_proxy.metrics_endpoint import metrics_socket
from hakoiri.credential_proxy.unix_socket import SocketPathError

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def names_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


async def test_the_socket_answers_and_is_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "m.sock"
    async with metrics_socket(path, registry_of([RequestMetrics()])):
        connector = aiohttp.UnixConnector(str(path))
        async with aiohttp.ClientSession("http://x", connector=connector) as session:
            async with session.get("/metrics") as answer:
                assert answer.status == 200
                assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
                assert "hakoiri_proxy_scrubbed_secrets_total" in await answer.text()
            async with session.get("/") as answer:
                assert answer.status == 404
            async with session.post("/metrics") as answer:
                assert answer.status == 405
    assert names_in(tmp_path) == set()


async def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SocketPathError):
        async with metrics_socket(tmp_path / "absent" / "m.sock", registry_of([])):
            pass
