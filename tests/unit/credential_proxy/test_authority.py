import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.authority import (
    Authority,
    AuthorityError,
    is_dotted_quad,
    parse_absolute,
    parse_authority,
)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("allowed.com:443", "allowed.com", 443),
        ("ALLOWED.COM.:443", "allowed.com", 443),
        ("xn--bcher-kva.example:8443", "xn--bcher-kva.example", 8443),
        ("8.8.8.8:53", "8.8.8.8", 53),
        ("localhost:1", "localhost", 1),
    ],
)
def test_each_spelling_of_a_plain_authority_has_one_form(text: str, host: str, port: int) -> None:
    assert parse_authority(text) == Authority(host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":443",
        ".:443",
        "a..b:443",
        "allowed.com..:443",
        "allowed.com",
        "allowed.com:",
        "allowed.com:0",
        "allowed.com:0443",
        "allowed.com:65536",
        "allowed.com:+443",
        "allowed.com:4 43",
        "allowed.com:443:443",
        "user@allowed.com:443",
        "allowed.com@denied.com:443",
        "allowed.com%00:443",
        "allowed%2ecom:443",
        "allowed.com\0:443",
        "allowed.com\r\nHost: x:443",
        "allowed.com/:443",
        "allowed.com\\:443",
        "allowed.com#:443",
        "[denied.com]:443",
        "[denied.com",
        "-a.com:443",
        "a_b.com:443",
        "allowed。com:443",  # IDNA maps this full stop to a dot
        "ａllowed.com:443",  # noqa: RUF001 - a full-width letter
        "a" * 64 + ".com:443",
        ".".join(["a" * 60] * 5) + ":443",
    ],
)
def test_an_authority_that_is_not_plain_is_refused(text: str) -> None:
    with pytest.raises(AuthorityError) as refused:
        parse_authority(text)
    assert refused.value.code == "bad-authority"


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "127.0.0.01",
        "1.2.3.4.5",
        "256.1.1.1",
        "a.1",
        "a.0x",
        "[::1]",
        "[::ffff:127.0.0.1]",
    ],
)
def test_an_address_in_any_other_spelling_than_the_quad_is_refused(host: str) -> None:
    with pytest.raises(AuthorityError) as refused:
        parse_authority(f"{host}:443")
    assert refused.value.code == "ip-literal"


@given(st.text(max_size=40))
def test_what_is_accepted_is_canonical(text: str) -> None:
    try:
        authority = parse_authority(text, default_port=443)
    except AuthorityError:
        return
    again = parse_authority(f"{authority.host}:{authority.port}")
    assert again == authority
    assert authority.host == authority.host.lower().rstrip(".")


@given(st.ip_addresses(v=4))
def test_every_canonical_quad_is_one(address: object) -> None:
    assert is_dotted_quad(str(address))
    assert parse_authority(f"{address}:1").is_literal


@pytest.mark.parametrize(
    ("target", "host", "port", "path"),
    [
        ("http://a.test", "a.test", 80, "/"),
        ("HTTP://A.test:8080/x?y=z", "a.test", 8080, "/x?y=z"),
        ("http://a.test?y", "a.test", 80, "/?y"),
    ],
)
def test_an_absolute_target_is_taken_apart(target: str, host: str, port: int, path: str) -> None:
    parsed = parse_absolute(target)
    assert (parsed.authority, parsed.path) == (Authority(host, port), path)


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("https://a.test/", "bad-scheme"),
        ("ftp://a.test/", "bad-scheme"),
        ("http:/a.test/", "bad-target"),
        ("a.test/", "bad-target"),
        ("http://a.test/#b", "bad-target"),
        ("http://a.test/b c", "bad-target"),
        ("http://a.test/\r\nX: y", "bad-target"),
        ("http:///b", "bad-authority"),
        ("http://a.test\\@b.test/", "bad-authority"),
    ],
)
def test_an_absolute_target_that_is_not_plain_is_refused(target: str, code: str) -> None:
    with pytest.raises(AuthorityError) as refused:
        parse_absolute(target)
    assert refused.value.code == code
