import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.credentials.aws_keys_document import aws_keys, parse_keys_document
from hakoiri.credential_proxy.errors import ConfigurationError

DOCUMENT = {"Version": 1, "AccessKeyId": "AKID", "SecretAccessKey": "planted"}


def parse(**more: object) -> object:
    return parse_keys_document(json.dumps({**DOCUMENT, **more}), name="credentials.a.keys_file")


def test_a_document_gives_keys_token_and_end() -> None:
    keys = parse_keys_document(
        json.dumps({**DOCUMENT, "SessionToken": "token", "Expiration": "2026-01-01T00:00:00Z"}),
        name="a",
    )
    assert keys.access_key_id == "AKID"
    assert [secret.reveal() for secret in keys.secrets()] == ["planted", "token"]
    assert keys.expires_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_keys_for_long_have_neither_token_nor_end_and_more_fields_do_not_matter() -> None:
    text = json.dumps({**DOCUMENT, "SessionToken": "", "AccountId": "1", "Expiration": None})
    keys = parse_keys_document(text, name="a")
    assert keys.session_token is None
    assert keys.expires_at is None
    assert keys == aws_keys("AKID", "planted", None, name="a")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"Version": 2}, "wrong Version"),
        ({"AccessKeyId": None}, "wrong AccessKeyId"),
        ({"SecretAccessKey": ["planted"]}, "wrong SecretAccessKey"),
        ({"SecretAccessKey": "planted\r\nx: y"}, "AWS secret access key"),
        ({"SessionToken": "planted\n"}, "AWS session token"),
        ({"AccessKeyId": "planted key\n"}, "AWS access key id"),
        ({"Expiration": "2026-01-01T00:00:00"}, "wrong Expiration"),
        ({"Expiration": "planted"}, "wrong Expiration"),
    ],
)
def test_what_is_wrong_is_named_and_not_shown(more: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse(**more)
    assert said in str(refused.value)
    assert "credentials.a.keys_file" in str(refused.value)
    assert "planted" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("text", ["", "planted", "[]", '"planted"', "[" * 100_000, "\ufeff{}"])
def test_what_is_no_document_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_keys_document(text, name="a")
    assert "planted" not in str(refused.value)


@given(st.text() | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
def test_nothing_but_our_error_comes_of_any_text(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_keys_document(text, name="a")
