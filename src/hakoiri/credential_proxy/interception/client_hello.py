"""The first message of TLS, read for the name it asks for.

Source: RFC 8446, sections 4.1.2 and 5.1; RFC 6066, section 3 (server_name).
"""

from dataclasses import dataclass
from typing import Final

from hakoiri.credential_proxy.errors import CredentialProxyError

HELLO_LIMIT_BYTES: Final = 32 * 1024
"""Two full records; real ones with post-quantum keys take two kilobytes."""

_RECORD_HEAD_BYTES: Final = 5
_RECORD_LIMIT_BYTES: Final = 16 * 1024
_HANDSHAKE: Final = 22
_TLS_MAJOR: Final = 3
_CLIENT_HELLO: Final = 1
_MESSAGE_HEAD_BYTES: Final = 4
_RANDOM_BYTES: Final = 32
_SERVER_NAME: Final = 0
_HOST_NAME: Final = 0
_ENCRYPTED_CLIENT_HELLO: Final = 0xFE0D


class NotTlsError(CredentialProxyError):
    """The bytes are not a sound ClientHello."""


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What the message tells in the open; `server_name` as it came, None when it names none."""

    server_name: str | None
    is_encrypted: bool


class _Reader:
    """Takes lengths and pieces from the front of bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def is_done(self) -> bool:
        return self._at == len(self._data)

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)

    def take(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        if len(piece) != count:
            raise NotTlsError("the ClientHello is shorter than it says")
        self._at += count
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, length_size: int) -> "_Reader":
        return _Reader(self.take(self.number(length_size)))


def read_client_hello(data: bytes) -> ClientHello | None:
    """Read the ClientHello at the front of `data`, or return None while it is not whole.

    Raises:
        NotTlsError: it is none, or longer than the limit.
    """
    message = _message_of(data)
    if message is None:
        if len(data) > HELLO_LIMIT_BYTES:
            raise NotTlsError("the ClientHello is too long")
        return None
    reader = _Reader(message)
    reader.take(2 + _RANDOM_BYTES)
    for length_size in (1, 2, 1):  # session id, cipher suites, compression methods
        reader.vector(length_size)
    if reader.is_done():
        return ClientHello(server_name=None, is_encrypted=False)
    extensions = reader.vector(2)
    if not reader.is_done():
        raise NotTlsError("something follows the ClientHello's extensions")
    return _of_extensions(extensions)


def _message_of(data: bytes) -> bytes | None:
    """Return the handshake message that the records at the front of `data` carry."""
    message = b""
    at = 0
    while at < len(data):
        head = data[at : at + _RECORD_HEAD_BYTES]
        if head[0] != _HANDSHAKE or head[1:2] not in (b"", bytes([_TLS_MAJOR])):
            raise NotTlsError("the first bytes are not TLS")
        if len(head) < _RECORD_HEAD_BYTES:
            return None
        length = int.from_bytes(head[3:], "big")
        if not 0 < length <= _RECORD_LIMIT_BYTES:
            raise NotTlsError("a record of the ClientHello has no sound length")
        at += _RECORD_HEAD_BYTES
        message += data[at : at + length]
        at += length
        if message[0:1] not in (b"", bytes([_CLIENT_HELLO])):
            raise NotTlsError("the first message is not a ClientHello")
        if len(message) >= _MESSAGE_HEAD_BYTES:
            end = _MESSAGE_HEAD_BYTES + int.from_bytes(message[1:_MESSAGE_HEAD_BYTES], "big")
            if end > HELLO_LIMIT_BYTES:
                raise NotTlsError("the ClientHello is too long")
            if len(message) >= end:
                return message[_MESSAGE_HEAD_BYTES:end]
    return None


def _of_extensions(extensions: _Reader) -> ClientHello:
    names: list[str] = []
    is_encrypted = False
    seen: set[int] = set()
    while not extensions.is_done():
        kind, body = extensions.number(2), extensions.vector(2)
        if kind in seen:
            raise NotTlsError("an extension of the ClientHello comes twice")
        seen.add(kind)
        if kind == _ENCRYPTED_CLIENT_HELLO:
            is_encrypted = True
        elif kind == _SERVER_NAME:
            names += _names_of(body.vector(2))
    if len(names) > 1:
        raise NotTlsError("the ClientHello names several servers")
    return ClientHello(server_name=names[0] if names else None, is_encrypted=is_encrypted)


def _names_of(entries: _Reader) -> list[str]:
    names = []
    while not entries.is_done():
        kind, name = entries.number(1), entries.vector(2)
        if kind != _HOST_NAME:
            raise NotTlsError("the ClientHello names a server in an unknown way")
        text = name.rest()
        if not text.isascii():
            raise NotTlsError("the ClientHello's server name is not ASCII")
        names.append(text.decode("ascii"))
    return names
