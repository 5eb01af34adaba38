import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.image.secret_patterns import OVERLAP_BYTES, find_secrets

# Put together here, so that no file holds anything of these forms.
KEYS = {
    "AWS access key": b"AK" + b"IA" + b"Q" * 16,
    "Anthropic key": b"sk-" + b"ant-api03-" + b"x1_-" * 20,
    "GitHub token": b"gh" + b"p_" + b"a1" * 18,
    "npm token": b"np" + b"m_" + b"Z9" * 18,
    "Slack token": b"xo" + b"xb-" + b"12345678" + b"-" + b"abcdefgh",
    "Google API key": b"AI" + b"za" + b"S" * 35,
    "private key": b"-----BEGIN " + b"RSA PRIVATE KEY-----\n" + b"MIIE" * 12,
}
IN_SETTINGS = {
    "password in an address": b"index-url = https://" + b"robot:s3cret@index.example.com/simple",
    "registry login": b"//registry.example.com/:_auth" + b"Token=0123456789abcdef",
    "password hash": b"root:" + b"$6$salt$" + b"h" * 86 + b":19000:0:99999:7:::",
}


def kinds(*chunks: bytes, is_settings: bool = False) -> list[str]:
    return [found.kind for found in find_secrets(chunks, is_settings=is_settings)]


@pytest.mark.parametrize("kind", [*KEYS])
def test_each_form_is_found_in_any_file_and_told_by_its_hash(kind: str) -> None:
    (found,) = find_secrets([b"token: " + KEYS[kind] + b"\n"], is_settings=False)
    assert found.kind == kind
    assert found.fingerprint != ""
    assert KEYS[kind].decode() not in repr(found)


def test_a_keys_fingerprint_is_its_sha256() -> None:
    key = KEYS["AWS access key"]
    (found,) = find_secrets([b'"' + key + b'"'], is_settings=False)
    assert found.fingerprint == hashlib.sha256(key).hexdigest()


@pytest.mark.parametrize("kind", [*IN_SETTINGS])
def test_what_is_harmless_in_code_is_found_in_settings(kind: str) -> None:
    text = b"# settings\n" + IN_SETTINGS[kind] + b"\n"
    assert kinds(text, is_settings=True) == [kind]
    assert kinds(text) == []


@pytest.mark.parametrize(
    "text",
    [
        b"AK" + b"IAIOSFODNN7EXAMPLE",  # AWS's own example
        b"AK" + b"IA" + b"Q" * 17,  # longer than a key
        b"-----BEGIN PRIVATE KEY-----",  # a parser's word for it
        b"-----BEGIN PUBLIC KEY-----\n" + b"MIIE" * 12,
        b"sk-ant-",
        b"https://index.example.com:8443/a@b",
        b"# input_password = secret",
        b"root:*:19000:0:99999:7:::",
        b"proxy = http://${USER}:${PASSWORD}@proxy.example.com",
    ],
)
def test_what_only_looks_like_one_is_not(text: bytes) -> None:
    assert kinds(text, is_settings=True) == []


@pytest.mark.parametrize("kind", [*KEYS])
def test_a_secret_is_found_once_wherever_the_chunks_are_cut(kind: str) -> None:
    text = b"a" * OVERLAP_BYTES + b"\n" + KEYS[kind] + b"\n" + b"b" * OVERLAP_BYTES
    (whole,) = find_secrets([text], is_settings=False)
    for cut in range(OVERLAP_BYTES - 1, OVERLAP_BYTES + len(KEYS[kind]) + 3):
        assert [*find_secrets([text[:cut], text[cut:]], is_settings=False)] == [whole]


@given(st.lists(st.binary(max_size=40) | st.sampled_from([*KEYS.values()]), max_size=8), st.data())
def test_cuts_change_nothing(parts: list[bytes], data: st.DataObject) -> None:
    text = b"\n".join(parts) * 40
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    chunks = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    whole = {*find_secrets([text], is_settings=True)}
    assert {*find_secrets(chunks, is_settings=True)} == whole
