import pytest

from hakoiri.credential_proxy.decision import RefusedError
from hakoiri.credential_proxy.framing import RequestHead
from hakoiri.credential_proxy.upgrade import is_accepted, is_websocket_upgrade

# The example of RFC 6455, section 1.3.
SOUND = {
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version": "13",
}
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def asked(
    changed: dict[str, str] | None = None, *, method: str = "GET", version: tuple[int, int] = (1, 1)
) -> RequestHead:
    named = {**SOUND, **(changed or {})}
    headers = tuple((name, value) for name, value in named.items() if value)
    return RequestHead(method=method, target="/", version=version, headers=headers)


def test_a_sound_handshake_is_one() -> None:
    assert is_websocket_upgrade(asked())
    assert is_websocket_upgrade(
        asked({"upgrade": "WebSocket", "connection": "keep-alive, upgrade"})
    )


@pytest.mark.parametrize("changed", [{"upgrade": ""}, {"connection": "keep-alive"}])
def test_an_upgrade_that_is_not_asked_for_is_none(changed: dict[str, str]) -> None:
    assert not is_websocket_upgrade(asked(changed))


@pytest.mark.parametrize(
    "head",
    [
        asked({"upgrade": "h2c"}),
        asked({"upgrade": "websocket, h2c"}),
        asked(method="POST"),
        asked(version=(1, 0)),
        asked({"sec-websocket-version": "8"}),
        asked({"sec-websocket-key": "short"}),
        asked({"sec-websocket-key": ""}),
        asked({"content-length": "3"}),
    ],
)
def test_any_other_upgrade_is_refused(head: RequestHead) -> None:
    with pytest.raises(RefusedError) as refused:
        is_websocket_upgrade(head)
    assert refused.value.status == 400


def test_only_the_answer_to_this_handshake_is_accepted() -> None:
    answer = (
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", ACCEPT),
    )
    assert is_accepted(asked(), answer)
    assert not is_accepted(asked(), answer[:2])
    assert not is_accepted(asked(), (*answer[:2], ("Sec-WebSocket-Accept", ACCEPT[::-1])))
    assert not is_accepted(asked(), (answer[0], answer[2]))
    assert not is_accepted(asked(), (("Upgrade", "h2c"), *answer[1:]))
