import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.framing import (
    HEAD_LIMIT_BYTES,
    find_answer_fault,
    find_fault,
    head_of,
    is_refused_trailer,
)

HOST = (b"Host", b"a.test")


def fault(*headers: tuple[bytes, bytes], method: str = "POST", target: str = "/",
          version: tuple[int, int] = (1, 1)) -> str | None:  # fmt: skip
    return find_fault(method=method, target=target, version=version, raw_headers=(HOST, *headers))


def test_a_sound_head_has_no_fault() -> None:
    assert fault((b"Content-Length", b"3")) is None
    assert fault((b"transfer-encoding", b"Chunked")) is None
    assert fault(method="CONNECT", target="a.test:443") is None
    assert fault((b"Content-Length", b"0"), method="CONNECT", target="a.test:443") is None
    assert fault(version=(1, 0)) is None


@pytest.mark.parametrize("version", [(0, 9), (1, 2), (2, 0)])
def test_other_versions_are_faults(version: tuple[int, int]) -> None:
    assert fault(version=version) is not None


@pytest.mark.parametrize(
    "headers",
    [
        [(b"Content-Length", b"3"), (b"Content-Length", b"3")],
        [(b"Content-Length", b"3"), (b"Transfer-Encoding", b"chunked")],
        [(b"Content-Length", b"+3")],
        [(b"Content-Length", b"3, 3")],
        [(b"Content-Length", "٣".encode())],
        [(b"Transfer-Encoding", b"chunked, identity")],
        [(b"Transfer-Encoding", b"xchunked")],
        [(b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")],
        [(b"host", b"b.test")],
        [(b"Content_Length", b"3")],
        [(b"transfer_encoding", b"chunked")],
        [(b"Transfer-Encoding\x0b", b"chunked")],
        [(b"Transfer-Encoding", b"\x0bchunked")],
        [(b"Transfer-Encoding ", b"chunked")],
        [(b"X", b"a\0b")],
        [(b"X", b"\xc3\xa9")],
        [(b"X Y", b"a")],
        [(b"X", b"v" * HEAD_LIMIT_BYTES)],
    ],
)
def test_what_two_hops_might_read_differently_is_a_fault(
    headers: list[tuple[bytes, bytes]],
) -> None:
    assert fault(*headers) is not None


def test_a_coding_in_http_1_0_and_a_body_on_connect_are_faults() -> None:
    assert fault((b"Transfer-Encoding", b"chunked"), version=(1, 0)) is not None
    assert fault((b"Content-Length", b"1"), method="CONNECT") is not None


@pytest.mark.parametrize("target", ["", "/a b", "/\x00", "/\x7f", "/é", "/\udcff"])
def test_a_target_outside_visible_ascii_is_a_fault(target: str) -> None:
    assert fault(target=target) is not None


@given(st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=8)), max_size=4))
def test_a_head_without_fault_can_be_built(headers: list[tuple[bytes, bytes]]) -> None:
    if fault(*headers) is None:
        head = head_of(method="POST", target="/", version=(1, 1), raw_headers=(HOST, *headers))
        assert head.values("host") == ["a.test"]
        assert head.has_body == (head.is_chunked or bool(head.content_length_bytes))


@pytest.mark.parametrize(
    "name",
    [b"Authorization", b"Content-Length", b"Host", b"X-Amz-Date", b"Cookie", b"X-Anything", b""],
)
def test_a_trailer_that_could_mean_something_is_refused(name: bytes) -> None:
    assert is_refused_trailer(name, b"value")


def test_checksums_are_taken_as_trailers_when_they_are_plain() -> None:
    assert not is_refused_trailer(b"X-Amz-Checksum-Sha256", b"abc=")
    assert not is_refused_trailer(b"digest", b"sha-256=abc")
    assert is_refused_trailer(b"digest", b"\xff")


def test_an_answer_is_in_http_1_and_chunked_alone_or_a_fault() -> None:
    assert find_answer_fault(200, "1.1", [("Transfer-Encoding", " Chunked")]) is None
    assert find_answer_fault(200, "1.0", [("Content-Length", "3")]) is None
    assert find_answer_fault(999, "1.1", []) is None


@pytest.mark.parametrize(
    ("status", "version", "codings"),
    [
        (200, "2.0", []),
        (200, "0.9", []),
        (99, "1.1", []),
        (200, "1.1", ["gzip, chunked"]),
        (200, "1.1", ["gzip", "chunked"]),
        (200, "1.1", ["chunked", "chunked"]),
        (200, "1.1", ["identity"]),
        (200, "1.0", ["chunked"]),
    ],
)
def test_an_answer_that_could_hide_its_body_is_a_fault(
    status: int, version: str, codings: list[str]
) -> None:
    headers = [("transfer-encoding", coding) for coding in codings]
    assert find_answer_fault(status, version, headers) is not None
