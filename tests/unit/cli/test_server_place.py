import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.cli.server_place import PlaceError, ServerPlace


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://127.0.0.1:8420", "http://127.0.0.1:8420"),
        ("http://box.example.test/", "http://box.example.test:80"),
        ("https://box.example.test", "https://box.example.test:443"),
        ("http://[::1]:9000", "http://[::1]:9000"),
    ],
)
def test_a_url_names_a_scheme_a_host_and_a_port(url: str, place: str) -> None:
    assert str(ServerPlace.parse(url)) == place


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8420",
        "ftp://127.0.0.1",
        "http://",
        "http://:80",
        "http://host:99999",
        "http://host:port",
        "http://[::1",
        "http://user@host",
        "http://host/api",
        "http://host?x",
        "http://ho st",
    ],
)
def test_what_names_no_server_is_refused_with_the_mend(url: str) -> None:
    with pytest.raises(PlaceError, match="write http://HOST:PORT or https://HOST:PORT"):
        ServerPlace.parse(url)


@given(st.text())
def test_any_text_is_a_place_or_refused(text: str) -> None:
    try:
        ServerPlace.parse(text)
    except PlaceError:
        return


def test_a_connection_speaks_what_the_scheme_says() -> None:
    plain = ServerPlace.parse("http://box.example.test").connection(timeout_s=1)
    safe = ServerPlace.parse("https://box.example.test").connection(timeout_s=1)
    assert (type(plain).__name__, type(safe).__name__) == ("HTTPConnection", "HTTPSConnection")
