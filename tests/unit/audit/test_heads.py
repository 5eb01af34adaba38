import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.unit.audit.chains import AT

from hakoiri.audit.chain import ChainError, Position
from hakoiri.audit.heads import HeadSigner, hashes_of, newest_of, read_heads

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
SIGNER = HeadSigner(KEY)


def head(sequence: int, mark: str = "a") -> bytes:
    return SIGNER.sign("server", Position(sequence, mark * 64), at=AT)


def test_what_was_signed_is_read() -> None:
    other = SIGNER.sign("proxy", Position(3, "c" * 64), at=AT)
    found = read_heads([head(1), head(2, "b"), other], public=KEY.public_key())
    assert {name: hashes_of(heads) for name, heads in found.items()} == {
        "server": {1: "a" * 64, 2: "b" * 64},
        "proxy": {3: "c" * 64},
    }


def test_the_newest_until_a_time_is_told_and_a_time_that_is_none_counts() -> None:
    later = SIGNER.sign("server", Position(7, "b" * 64), at=AT + timedelta(minutes=5))
    heads = read_heads([head(2), later], public=KEY.public_key())["server"]
    assert newest_of(heads) == 7
    assert newest_of(heads, until=AT + timedelta(minutes=4)) == 2
    assert newest_of(heads, until=AT - timedelta(minutes=1)) == 0
    assert newest_of({}) == 0
    for time in ("long ago", "2026-11-26T12:00:00"):
        odd = heads[7].model_copy(update={"time": time})
        assert newest_of({9: odd}, until=AT) == 9


@pytest.mark.parametrize(
    ("field", "value"),
    [("chain", "proxy"), ("sequence", 2), ("hash", "b" * 64), ("time", "2026-01-01T00:00:00")],
)
def test_a_head_of_which_anything_was_changed_is_refused(field: str, value: object) -> None:
    forged = json.loads(head(1)) | {field: value}
    with pytest.raises(ChainError, match="head 2 was not signed with"):
        read_heads([head(1), json.dumps(forged).encode() + b"\n"], public=KEY.public_key())


def test_another_keys_head_is_refused() -> None:
    with pytest.raises(ChainError, match="not signed with"):
        read_heads([head(1)], public=Ed25519PrivateKey.generate().public_key())


def test_a_signature_that_is_no_base64_is_refused() -> None:
    forged = json.loads(head(1)) | {"signature": "%%%"}
    with pytest.raises(ChainError, match="not signed with"):
        read_heads([json.dumps(forged).encode() + b"\n"], public=KEY.public_key())


def test_two_heads_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ChainError, match="contradicts"):
        read_heads([head(1), head(1, "b")], public=KEY.public_key())


def test_a_line_that_is_no_head_is_refused_and_a_torn_one_at_the_end_passed_over() -> None:
    with pytest.raises(ChainError, match="head 2 is none"):
        read_heads([head(1), b"{}\n"], public=KEY.public_key())
    found = read_heads([head(1), head(2)[:-9]], public=KEY.public_key())
    assert hashes_of(found["server"]) == {1: "a" * 64}
