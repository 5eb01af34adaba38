import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.image.apt_sources import DEBIAN_KEYRING, debian_sources

DEB822 = f"""\
Types: deb
# a comment amid the stanza
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: {DEBIAN_KEYRING}

Types: deb
URIs: http://mirror.test/debian-security
Suites: bookworm-security
Components: main
Signed-By:
 {DEBIAN_KEYRING}
"""


def line(uri: str, suite: str) -> str:
    return f"deb [signed-by={DEBIAN_KEYRING}] {uri} {suite} main"


def test_deb822_sources_of_debian_become_one_line_entries_of_main() -> None:
    assert debian_sources({"debian.sources": DEB822}, "bookworm") == [
        line("http://mirror.test/debian", "bookworm"),
        line("http://mirror.test/debian", "bookworm-updates"),
        line("http://mirror.test/debian-security", "bookworm-security"),
    ]


def test_one_line_sources_of_debian_count_with_and_without_a_keyring() -> None:
    content = f"""
    # deb http://commented.test/debian bookworm main
    deb http://old.test/debian bookworm main non-free
    deb [arch=amd64 signed-by={DEBIAN_KEYRING}] http://new.test/debian bookworm main # here
    deb-src http://old.test/debian bookworm main
    """
    assert debian_sources({"sources.list": content}, "bookworm") == [
        line("http://old.test/debian", "bookworm"),
        line("http://new.test/debian", "bookworm"),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("o.list", "deb [signed-by=/etc/apt/keyrings/other.gpg] http://o.test bookworm main"),
        ("o.list", "deb http://o.test stable main"),
        ("o.list", "deb http://o.test bookworm stable"),
        ("o.list", "deb http://o.test/flat ./"),
        ("o.list", "deb"),
        ("o.list", "deb [signed-by=x"),
        ("debian.list", "deb http://mirror.test/debian trixie main"),
        ("debian.sources", "Types: deb-src\nURIs: x\nSuites: bookworm\nComponents: main"),
        ("o.sources", "Types: deb\nURIs: x\nSuites: bookworm\nComponents: main\nEnabled: no"),
        ("o.sources", "Types: deb\nURIs: x\nSuites: bookworm\nComponents: main\nSigned-By: /o.gpg"),
        ("o.list.disabled", "deb http://mirror.test/debian bookworm main"),
    ],
)
def test_sources_of_others_of_another_release_or_switched_off_do_not_count(
    name: str, content: str
) -> None:
    assert debian_sources({name: content}, "bookworm") == []


def test_what_is_named_twice_counts_once() -> None:
    files = {"a.sources": DEB822, "b.sources": DEB822}
    assert len(debian_sources(files, "bookworm")) == 3


@given(st.text(), st.sampled_from(["x.list", "x.sources"]))
def test_no_content_breaks_the_parser(content: str, name: str) -> None:
    debian_sources({name: content}, "bookworm")
