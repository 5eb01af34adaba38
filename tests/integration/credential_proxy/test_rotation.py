import aiohttp
import pytest

from .conftest import Proxy, Upstream, anthropic_policy

pytestmark = pytest.mark.anyio


def keys_sent(upstream: Upstream) -> list[str]:
    return [dict(headers)["x-api-key"] for _, _, headers, _ in upstream.requests]


async def test_a_key_rotated_in_its_file_amid_a_stream_is_used_by_the_next_request(
    proxy: Proxy, upstream: Upstream
) -> None:
    key = proxy.directory / "rotated-key"
    key.write_text("planted-first\n")
    key.chmod(0o600)
    source = f'value_file = "{key}"'
    proxy.file.write_text(proxy.file.read_text().replace('value_env = "TEST_API_KEY"', source))
    assert (await proxy.control("POST", "/reload"))[0] == 200
    socket = await proxy.open("c1", anthropic_policy())
    async with proxy.client(socket) as session:
        streaming = {"accept": "test/stream"}
        async with session.post("/v1/messages", json={}, headers=streaming) as stream:
            assert await stream.content.readuntil(b"\n\n") == b"data: first\n\n"
            key.write_text("planted-second\n")
            await _post(session)
            key.write_text("planted\nbroken\n")
            await _post(session)
            upstream.release.set()
            assert await stream.content.read() == b"data: last\n\n"
    assert keys_sent(upstream) == ["planted-first", "planted-second", "planted-second"]
    _, health = await proxy.control("GET", "/health")
    [told] = [entry for entry in health["credentials"] if entry["name"] == "anthropic"]
    assert told["ready"]
    assert "credentials.anthropic.value_file" in told["reason"]
    assert "planted" not in told["reason"]


async def _post(session: aiohttp.ClientSession) -> None:
    async with session.post("/v1/messages", json={}) as answer:
        assert answer.status == 200
