import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.files.paths import (
    REPORTED_PATH_LIMIT_CHARS,
    PathError,
    bytes_of,
    check_path,
    check_target,
    parent_of,
    reported,
    text_of,
)


@given(st.binary(max_size=200))
def test_any_bytes_come_back_from_their_text(raw: bytes) -> None:
    assert bytes_of(text_of(raw)) == raw


@given(st.text(max_size=50))
def test_a_text_is_the_one_text_of_its_bytes_or_refused(text: str) -> None:
    try:
        raw = bytes_of(text)
    except PathError:
        return
    assert text_of(raw) == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("Grüße.txt".encode(), "Grüße.txt"),
        (b"100%", "100%25"),
        (b"a\nb", "a%0Ab"),
        (b"\xff\xfe", "%FF%FE"),
        (b"\x1b[2J", "%1B[2J"),
        ("\u202egpj.exe".encode(), "%E2%80%AEgpj.exe"),
    ],
)
def test_odd_names_are_printable(raw: bytes, text: str) -> None:
    assert text_of(raw) == text
    assert bytes_of(text) == raw


@pytest.mark.parametrize("text", ["100%", "%2f", "%2F", "%zz", "a\nb", "\ud800"])
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(PathError):
        bytes_of(text)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"/",
        b"/etc/passwd",
        b"a//b",
        b"a/",
        b".",
        b"..",
        b"a/../b",
        b"a/./b",
        b"a\0b",
        b"n" * 256,
        b"/".join([b"d" * 200] * 30),
    ],
)
def test_a_path_that_could_lead_out_is_refused(raw: bytes) -> None:
    with pytest.raises(PathError):
        check_path(raw)


def test_dots_within_a_name_are_plain_characters() -> None:
    assert check_path(b"..a/b../...") == b"..a/b../..."


@pytest.mark.parametrize("raw", [b"", b"a\0", b"t" * 4096])
def test_a_target_no_symlink_can_hold_is_refused(raw: bytes) -> None:
    with pytest.raises(PathError):
        check_target(raw)


def test_a_target_may_point_anywhere() -> None:
    assert check_target(b"/etc/shadow") == b"/etc/shadow"
    assert check_target(b"../../x") == b"../../x"


def test_the_parent_of_a_top_name_is_the_root() -> None:
    assert parent_of(b"a") == b""
    assert parent_of(b"a/b/c") == b"a/b"


def test_a_reported_path_is_bounded() -> None:
    assert len(reported(b"\n" * 4096)) == REPORTED_PATH_LIMIT_CHARS + 1
