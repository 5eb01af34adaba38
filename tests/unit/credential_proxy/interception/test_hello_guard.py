import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.interception.hello_guard import HelloGuard, TunnelRefusedError

from .handshakes import client_hello
from .test_client_hello import hello_with, server_name

HOST = "a.example.test"
HELLO = client_hello(HOST)


@given(st.lists(st.integers(0, len(HELLO)), max_size=6))
def test_tls_to_the_tunnels_host_passes_whole_however_it_is_split(cuts: list[int]) -> None:
    guard = HelloGuard(Authority(HOST, 443))
    edges = [0, *sorted(cuts), len(HELLO)]
    passed = [guard.feed(HELLO[a:b]) for a, b in itertools.pairwise(edges) if a != b]
    assert passed[-1] == HELLO
    assert passed[:-1] == [None] * (len(passed) - 1)


@pytest.mark.parametrize(
    ("host", "port", "sent", "code"),
    [
        ("b.example.test", 443, HELLO, "tunnel-name-mismatch"),
        ("example.test", 443, HELLO, "tunnel-name-mismatch"),
        ("b.example.test", 8443, HELLO, "tunnel-name-mismatch"),
        (HOST, 443, client_hello(None), "tunnel-name-missing"),
        (HOST, 443, b"GET / HTTP/1.1\r\n", "tunnel-not-tls"),
        (HOST, 443, b"SSH-2.0-x", "tunnel-not-tls"),
        (HOST, 443, b"\x16\x03\x01\0\0", "tunnel-not-tls"),
        (HOST, 8443, b"\x16\x03\x01\0\0", "tunnel-not-tls"),
        (HOST, 8443, b"\x16\x03\x01\x40\0\x01\0\xa0\0", "tunnel-not-tls"),  # 40 KiB
        (HOST, 443, hello_with(server_name(b"a b")), "tunnel-name-mismatch"),
        (
            HOST,
            443,
            hello_with(server_name(HOST.encode()) + b"\xfe\x0d\0\x01\0"),
            "tunnel-name-hidden",
        ),
    ],
)
def test_anything_else_is_refused(host: str, port: int, sent: bytes, code: str) -> None:
    with pytest.raises(TunnelRefusedError) as refused:
        HelloGuard(Authority(host, port)).feed(sent)
    assert refused.value.code == code


def test_another_port_may_speak_another_protocol() -> None:
    for sent in (b"SSH-2.0-x", b"\x16not tls"):
        assert HelloGuard(Authority(HOST, 2222)).feed(sent) == sent


def test_an_address_needs_no_name() -> None:
    hello = client_hello(None)
    assert HelloGuard(Authority("192.0.2.1", 443)).feed(hello) == hello
