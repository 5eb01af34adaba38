from pathlib import Path

import pytest
from benchmarks.sync_contenders import ALL_PROGRAMS, Command, _called
from tests.s3_server import S3Server

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    monkeypatch.setattr(S3Server, "bucket", lambda _, name: name)
    return S3Server(1, tmp_path, [])


async def test_a_peer_that_fails_is_told_with_what_it_said(server: S3Server) -> None:
    peer = Command("peer", ["sh", "-c", "echo no such bucket >&2; exit 3"], [], server)
    with pytest.raises(RuntimeError, match="peer: no such bucket"):
        await peer.up()


async def test_a_peer_is_told_its_bucket_and_its_target(server: S3Server, tmp_path: Path) -> None:
    said = tmp_path / "said"
    script = f"echo $0 $1 >> {said}"
    peer = Command(
        "peer", ["sh", "-c", script, "THERE", "x"], ["sh", "-c", script, "THERE", "TARGET"], server
    )
    await peer.up()
    await peer.down(tmp_path)
    assert said.read_text().splitlines() == [f"{peer.bucket} x", f"{peer.bucket} {tmp_path}"]
    assert peer.bucket.startswith("bench-")


@pytest.mark.parametrize("name", ALL_PROGRAMS)
def test_each_peer_is_called_with_its_own_bucket_both_ways(name: str) -> None:
    up, down = _called(name, "/bin/peer", "/source", "http://127.0.0.1:1")
    assert "/source" in "".join(up)
    for command in (up, down):
        assert command[0] == "/bin/peer"
        assert "THERE" in "".join(command)
    assert "TARGET" in "".join(down)
