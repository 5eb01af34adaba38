from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.unit.audit.chains import lines, write

from hakoiri.audit.chain import Position, hash_of
from hakoiri.audit.segments import AuditFilesError
from hakoiri.audit.verification import (
    ChainReport,
    load_public_key,
    verify_chain,
)

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)


def verify(directory: Path, heads: dict[int, str]) -> ChainReport:
    return verify_chain(directory, chain="server", heads=heads)


def test_a_log_that_is_as_it_was_written_is_told_so(tmp_path: Path) -> None:
    made = lines(10)
    write(tmp_path, made)
    report = verify(tmp_path, {4: hash_of(made[3]), 8: hash_of(made[7])})
    assert report == ChainReport(chain="server", begins=1, lines=10, signed=8)


def test_a_log_rewritten_as_a_whole_does_not_fit_the_signed_head(tmp_path: Path) -> None:
    head = hash_of(lines(10)[7])
    forged = lines(3) + lines(7, start=Position(3, "f" * 64))
    rebuilt = lines(3)
    rebuilt[2] = rebuilt[2].replace(b"acme", b"evil")
    rebuilt += lines(7, start=Position(3, hash_of(rebuilt[2])))
    write(tmp_path, forged)
    assert "line 4" in (verify(tmp_path, {8: head}).broken or "")
    write(tmp_path, rebuilt)
    assert verify(tmp_path, {}).broken is None, "the chain alone is sound"
    assert "line 8 is not the one whose head was signed" in (
        verify(tmp_path, {8: head}).broken or ""
    )


def test_a_log_cut_before_its_newest_head_is_found(tmp_path: Path) -> None:
    made = lines(10)
    write(tmp_path, made[:6])
    broken = verify(tmp_path, {8: hash_of(made[7])}).broken
    assert broken is not None
    assert "lines 7 to 8 are missing at the end" in broken


def test_a_log_without_its_older_files_tells_where_it_begins(tmp_path: Path) -> None:
    made = lines(10)
    write(tmp_path, made[4:], first=5)
    assert verify(tmp_path, {4: hash_of(made[3])}).begins == 5
    assert verify(tmp_path, {4: hash_of(made[3])}).lines == 6
    assert verify(tmp_path, {4: hash_of(made[3])}).broken is None
    assert "line 4 is not" in (verify(tmp_path, {4: "f" * 64}).broken or "")


def test_a_log_that_is_gone_is_broken_if_a_head_was_signed(tmp_path: Path) -> None:
    assert verify(tmp_path, {}).broken is None
    assert "missing" in (verify(tmp_path, {1: "a" * 64}).broken or "")
    assert "cannot list" in (verify(tmp_path / "none", {}).broken or "")


def test_a_copy_need_not_reach_to_its_newest_head_but_what_it_has_must_fit(tmp_path: Path) -> None:
    made = lines(10)
    write(tmp_path, made[:6])
    heads = {4: hash_of(made[3]), 8: hash_of(made[7])}
    assert verify_chain(tmp_path, chain="server", heads=heads, reaches=4).broken is None
    assert verify_chain(tmp_path, chain="server", heads=heads, reaches=0).broken is None
    short = verify_chain(tmp_path, chain="server", heads=heads, reaches=8)
    assert "lines 7 to 8 are missing at the end" in (short.broken or "")
    other = verify_chain(tmp_path, chain="server", heads={4: "f" * 64}, reaches=0)
    assert "line 4 is not the one whose head was signed" in (other.broken or "")


def test_keys_are_read_from_their_files(tmp_path: Path) -> None:
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "public.pem").write_bytes(public)
    assert load_public_key(tmp_path / "public.pem") == KEY.public_key()


@pytest.mark.parametrize("content", [None, b"", b"no key"])
def test_a_key_that_is_none_is_told(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "public.pem").write_bytes(content)
    with pytest.raises(AuditFilesError, match=r"public\.pem"):
        load_public_key(tmp_path / "public.pem")
