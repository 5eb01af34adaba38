import base64
from typing import Any

import pytest
from pydantic import TypeAdapter

from hakoiri.credential_proxy.credential_definitions import Credential, ValueCredential
from hakoiri.credential_proxy.credentials.injected_secret import inject, injected_secret
from hakoiri.credential_proxy.credentials.outgoing_request import OutgoingRequest
from hakoiri.credential_proxy.credentials.secret import SECRET_LIMIT_CHARS
from hakoiri.credential_proxy.errors import ConfigurationError, CredentialError

_CREDENTIAL: TypeAdapter[Any] = TypeAdapter(Credential)
THEIRS = OutgoingRequest(
    "GET", "/", "key=theirs", (("authorization", "theirs"), ("x-api-key", "theirs"))
)
PAIR = base64.b64encode(b"git:pl@nted/1").decode()


def credential(kind: str, **more: str) -> ValueCredential:
    fields = {"kind": kind, "hosts": ["a.test"], "value_env": "KEY", **more}
    parsed: ValueCredential = _CREDENTIAL.validate_python(fields)
    return parsed


@pytest.mark.parametrize(
    ("kind", "more", "header"),
    [
        ("header", {"header": "X-Api-Key"}, ("x-api-key", "pl@nted/1")),
        (
            "header",
            {"header": "authorization", "template": "token {secret}"},
            ("authorization", "token pl@nted/1"),
        ),
        ("bearer", {}, ("authorization", "Bearer pl@nted/1")),
        ("basic", {"username": "git"}, ("authorization", f"Basic {PAIR}")),
    ],
)
def test_each_kind_sets_its_header_in_place_of_the_clients(
    kind: str, more: dict[str, str], header: tuple[str, str]
) -> None:
    kind_of = credential(kind, **more)
    sent = inject(kind_of, injected_secret(kind_of, "pl@nted/1", name="a"), THEIRS)
    assert [value for name, value in sent.headers if name == header[0]] == [header[1]]
    assert len(sent.headers) == len(THEIRS.headers)
    assert sent.query == THEIRS.query


def test_a_query_parameter_is_encoded_and_takes_the_place_of_the_clients() -> None:
    query = credential("query", parameter="key")
    sent = inject(query, injected_secret(query, "pl@nted/1&a=b", name="a"), THEIRS)
    assert sent.query == "key=pl%40nted%2F1%26a%3Db"
    assert sent.headers == THEIRS.headers


def test_a_placeholders_secret_is_put_on_no_request() -> None:
    secret = credential("secret")
    with pytest.raises(CredentialError, match="placeholder"):
        inject(secret, injected_secret(secret, "planted", name="a"), THEIRS)


@pytest.mark.parametrize(
    ("kind", "more", "forms"),
    [
        ("header", {"header": "a"}, ["pl@nted/1"]),
        ("header", {"header": "a", "template": "t {secret}"}, ["pl@nted/1", "t pl@nted/1"]),
        ("bearer", {}, ["pl@nted/1"]),
        ("basic", {"username": "git"}, ["pl@nted/1", PAIR]),
        ("query", {"parameter": "key"}, ["pl@nted/1", "pl%40nted%2F1"]),
        ("secret", {}, ["pl@nted/1"]),
    ],
)
def test_the_forms_that_must_not_come_back_are_told(
    kind: str, more: dict[str, str], forms: list[str]
) -> None:
    held = injected_secret(credential(kind, **more), "pl@nted/1", name="a")
    assert [form.reveal() for form in held.forms] == forms
    assert "pl@nted" not in repr(held)


@pytest.mark.parametrize(
    ("kind", "more"),
    [("header", {"header": "a", "template": "t {secret}"}), ("basic", {"username": "git"})],
)
def test_what_cannot_be_sent_is_refused_and_not_shown(kind: str, more: dict[str, str]) -> None:
    for value in ("planted\r\nX: y", "p" * SECRET_LIMIT_CHARS):
        with pytest.raises(ConfigurationError, match=r"credentials\.a") as refused:
            injected_secret(credential(kind, **more), value, name="credentials.a")
        assert value not in str(refused.value)
