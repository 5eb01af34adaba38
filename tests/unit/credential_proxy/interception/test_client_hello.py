import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.interception.client_hello import (
    HELLO_LIMIT_BYTES,
    NotTlsError,
    read_client_hello,
)

from .handshakes import client_hello

HELLO = client_hello("a.example.test", alpn=("h2", "http/1.1"))


def in_records(message: bytes, size: int) -> bytes:
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + len(p).to_bytes(2, "big") + p for p in pieces)


def hello_with(extensions: bytes) -> bytes:
    body = b"\x03\x03" + bytes(32) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0"
    body += len(extensions).to_bytes(2, "big") + extensions
    return in_records(b"\x01" + len(body).to_bytes(3, "big") + body, 16384)


def server_name(name: bytes, kind: int = 0) -> bytes:
    entry = bytes([kind]) + len(name).to_bytes(2, "big") + name
    listed = len(entry).to_bytes(2, "big") + entry
    return b"\0\0" + len(listed).to_bytes(2, "big") + listed


def test_a_real_clients_hello_tells_its_server() -> None:
    hello = read_client_hello(HELLO)
    assert hello is not None
    assert (hello.server_name, hello.is_encrypted) == ("a.example.test", False)
    nameless = read_client_hello(client_hello(None))
    assert nameless is not None
    assert nameless.server_name is None


@given(st.integers(1, 300))
def test_it_is_read_from_records_of_any_size(size: int) -> None:
    hello = read_client_hello(in_records(HELLO[5:], size))
    assert hello is not None
    assert hello.server_name == "a.example.test"


@given(st.integers(0, len(HELLO) - 1))
def test_a_part_of_it_is_not_enough(length: int) -> None:
    assert read_client_hello(HELLO[:length]) is None


@given(st.binary(max_size=400))
def test_whatever_comes_it_is_read_or_refused(data: bytes) -> None:
    for raw in (data, HELLO[:60] + data, hello_with(data)):
        try:
            read_client_hello(raw)
        except NotTlsError:
            continue


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\n",
        b"SSH-2.0-x",
        b"\x16\x02\x01\0\x05hello",
        b"\x16\x03\x01\0\0",
        b"\x16\x03\x01\x7f\xff",
        in_records(b"\x02\0\0\x01x", 100),
        in_records(b"\x01\xff\xff\xff" + bytes(100), 100),
        hello_with(server_name(b"a.test") + server_name(b"b.test")),
        hello_with(server_name(b"\xff\xfe")),
        hello_with(server_name(b"a.test", kind=7)),
        hello_with(b"\0\0\0\xff"),
    ],
)
def test_what_is_no_sound_hello_is_refused(raw: bytes) -> None:
    with pytest.raises(NotTlsError):
        read_client_hello(raw)


def test_two_names_in_one_extension_are_refused() -> None:
    entries = b"".join(b"\0\0\x06" + name for name in (b"a.test", b"b.test"))
    listed = len(entries).to_bytes(2, "big") + entries
    with pytest.raises(NotTlsError, match="several"):
        read_client_hello(hello_with(b"\0\0" + len(listed).to_bytes(2, "big") + listed))


def test_an_endless_hello_is_refused() -> None:
    endless = b"\x16\x03\x01\0\x01\x01" * HELLO_LIMIT_BYTES
    with pytest.raises(NotTlsError):
        read_client_hello(endless[: HELLO_LIMIT_BYTES + 6])


def test_an_encrypted_hello_is_told() -> None:
    hello = read_client_hello(hello_with(server_name(b"a.test") + b"\xfe\x0d\0\x01\0"))
    assert hello is not None
    assert hello.is_encrypted
