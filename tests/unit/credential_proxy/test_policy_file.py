from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.errors import ConfigurationError
from hakoiri.credential_proxy.policy_file import FILE_LIMIT_BYTES, parse_policy, read_policy
from hakoiri.wire.policy import DENY_ALL


def test_toml_and_json_say_the_same_and_nothing_denies_all() -> None:
    toml = parse_policy('version = 1\n[[rules]]\nhost = "a.test"\nports = [443]\n')
    assert toml == parse_policy(' {"version": 1, "rules": [{"host": "a.test"}]}')
    assert parse_policy("") == parse_policy("{}") == DENY_ALL


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("rules = 1", "rules"),
        ('[[rules]]\nhost = "a.test"\nmethod = "GET"', "rules.0.method"),
        ("version = 2", "version"),
        ("{", "neither TOML nor JSON"),
        ("[", "neither TOML nor JSON"),
        ("{" * 100_000, "neither TOML nor JSON"),
    ],
)
def test_what_is_wrong_is_told_by_its_field(text: str, wanted: str) -> None:
    with pytest.raises(ConfigurationError, match=wanted):
        parse_policy(text)


@given(st.text(max_size=200))
def test_any_text_is_a_policy_or_an_error(text: str) -> None:
    try:
        parse_policy(text)
    except ConfigurationError:
        return


def test_a_file_that_cannot_be_read_is_told_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    with pytest.raises(ConfigurationError, match=str(path)):
        read_policy(path)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match=str(path)):
        read_policy(path)
    path.write_bytes(b"#" * (FILE_LIMIT_BYTES + 1))
    with pytest.raises(ConfigurationError, match="larger than"):
        read_policy(path)


def test_what_is_wrong_is_told_in_our_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="methodz: there is no such field"):
        parse_policy('[[rules]]\nhost = "example.com"\nmethodz = ["GET"]\n')
    binary = tmp_path / "policy.toml"
    binary.write_bytes(b"\x80")
    with pytest.raises(ConfigurationError, match=r"policy\.toml: it is not text \(UTF-8\)"):
        read_policy(binary)
