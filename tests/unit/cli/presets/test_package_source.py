import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from hakoiri.cli.presets.package_source import Found, PackageSource, origins_by_host
from hakoiri.wire.policy import HostPattern


def found_in(url: str) -> Found:
    found = Found()
    found.add_url(url, origin="pip index-url")
    return found


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://Index.Example.test/simple/", "index.example.test", 443),
        ("http://mirror.example.test/debian", "mirror.example.test", 80),
        ("HTTPS://index.example.test:8443", "index.example.test", 8443),
        ("https://index.example.test./simple", "index.example.test", 443),
        ("https://bücher.example.test/", "xn--bcher-kva.example.test", 443),
    ],
)
def test_the_host_and_port_of_a_url_are_taken(url: str, host: str, port: int) -> None:
    assert found_in(url) == Found([PackageSource(host, port, "pip index-url")])


@pytest.mark.parametrize(
    "url",
    [
        "file:///var/packages/simple",
        "/opt/wheels",
        "cdrom:[Debian]/",
        "mirror+file:/etc/apt/mirrors.txt",
        "https://localhost:3141/simple",
        "https://*.example.test/",
        "https://[::1]/simple",
        "https://index.example.test:99999/",
        "https://index.example.test:0/",
        "https:///simple",
        "",
    ],
)
def test_what_no_rule_can_name_is_left_out_with_a_note(url: str) -> None:
    found = found_in(url)
    assert found.sources == []
    assert len(found.notes) == 1


def test_a_password_is_neither_kept_nor_shown_and_the_mend_is_told() -> None:
    found = found_in("https://someone:planted@index.example.test/simple")
    assert found.sources == [PackageSource("index.example.test", 443, "pip index-url")]
    assert "planted" not in str(found)
    assert "someone" not in str(found)
    assert "the proxy's own file" in found.notes[0]


def test_a_note_stays_one_line_whatever_the_configuration_holds() -> None:
    found = Found()
    found.add_host("a\n\x1b[31mb", origin="--file-host")
    assert found.sources == []
    assert found.notes[0].isprintable()


def test_a_host_named_twice_is_one_with_all_its_ports_and_names() -> None:
    sources = [
        PackageSource("b.example.test", 443, "npm registry"),
        PackageSource("a.example.test", 80, "apt"),
        PackageSource("a.example.test", 443, "pip index-url"),
        PackageSource("a.example.test", 80, "apt"),
    ]
    assert origins_by_host(sources) == {
        "a.example.test": ([80, 443], ["apt", "pip index-url"]),
        "b.example.test": ([443], ["npm registry"]),
    }


@given(st.text(max_size=200))
def test_whatever_is_configured_gives_a_host_that_a_policy_can_name_or_a_note(text: str) -> None:
    for url in (text, f"https://{text}", f"http://{text}/simple"):
        found = found_in(url)
        assert bool(found.sources) or bool(found.notes)
        for source in found.sources:
            TypeAdapter(HostPattern).validate_python(source.host)
            assert not source.host.startswith("*")
            assert 1 <= source.port <= 65535
