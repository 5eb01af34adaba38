"""Whether a request asks to speak another protocol: WebSocket, or nothing we know.

Source: RFC 6455, section 4.2.1, and RFC 9110, section 7.8.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable
from typing import Final

from hakoiri.credential_proxy.decision import RefusedError
from hakoiri.credential_proxy.framing import Headers, RequestHead

_VERSION: Final = "13"
_KEY_BYTES: Final = 16
_ACCEPT_GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def is_websocket_upgrade(head: RequestHead) -> bool:
    """Whether `head` asks for a WebSocket.

    Raises:
        RefusedError: it asks for another protocol (HTTP/2 among them: what follows would not be
            decided on), or for a WebSocket in a way that is not sound.
    """
    upgrades = _tokens(head.values("upgrade"))
    if not upgrades or "upgrade" not in _tokens(head.values("connection")):
        return False
    if upgrades != ["websocket"]:
        raise RefusedError(400, "upgrade-not-supported", "only WebSocket is upgraded to")
    keys = head.values("sec-websocket-key")
    is_sound = (
        head.method == "GET"
        and head.version == (1, 1)
        and not head.has_body
        and head.values("sec-websocket-version") == [_VERSION]
        and len(keys) == 1
        and _is_key(keys[0])
    )
    if not is_sound:
        raise RefusedError(400, "bad-request", "the WebSocket's opening handshake is not sound")
    return True


def is_accepted(head: RequestHead, answer: Headers) -> bool:
    """Whether `answer`, whose status is 101, is the one to the handshake in `head`."""
    wanted = head.values("sec-websocket-key")[0] + _ACCEPT_GUID
    digest = hashlib.sha1(wanted.encode(), usedforsecurity=False).digest()
    named = {name.lower(): value for name, value in answer}
    return (
        named.get("upgrade", "").lower() == "websocket"
        and "upgrade" in _tokens([named.get("connection", "")])
        and named.get("sec-websocket-accept") == base64.b64encode(digest).decode()
    )


def _is_key(value: str) -> bool:
    try:
        return len(base64.b64decode(value, validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def _tokens(values: Iterable[str]) -> list[str]:
    return [
        token.strip().lower() for value in values for token in value.split(",") if token.strip()
    ]
