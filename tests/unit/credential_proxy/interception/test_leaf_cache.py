import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hakoiri.credential_proxy.interception import leaf_cache as module
from hakoiri.credential_proxy.interception.certificate_authority import (
    LEAF_LIFETIME,
    CertificateAuthority,
)
from hakoiri.credential_proxy.interception.leaf_cache import LeafCache

from .handshakes import shake_hands

HOST = "a.example.test"


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority.load(tmp_path, now=datetime.now(UTC))


def trusting(authority: CertificateAuthority) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def test_a_client_that_trusts_the_authority_finds_the_host(
    authority: CertificateAuthority,
) -> None:
    server = LeafCache(authority=authority).context_for(HOST)
    client = shake_hands(server, trusting(authority), HOST)
    assert client.version() == "TLSv1.3"
    certificate = client.getpeercert()
    assert certificate is not None
    assert certificate["subjectAltName"] == (("DNS", HOST),)


def test_a_client_that_does_not_trust_it_goes_away(authority: CertificateAuthority) -> None:
    server = LeafCache(authority=authority).context_for(HOST)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server, ssl.create_default_context(), HOST)


@pytest.mark.parametrize("asked", ["b.example.test", "example.test", None])
def test_a_client_that_asks_for_another_host_is_refused(
    authority: CertificateAuthority, asked: str | None
) -> None:
    client = trusting(authority)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    with pytest.raises(ssl.SSLError, match="callback failed"):
        shake_hands(LeafCache(authority=authority).context_for(HOST), client, asked)


def test_old_tls_is_refused(authority: CertificateAuthority) -> None:
    assert LeafCache(authority=authority).context_for(HOST).minimum_version >= (
        ssl.TLSVersion.TLSv1_2
    )


def test_a_leaf_is_kept_until_half_its_life_is_over(authority: CertificateAuthority) -> None:
    now = [datetime.now(UTC)]
    cache = LeafCache(authority=authority, now=lambda: now[0])
    first = cache.context_for(HOST)
    now[0] += LEAF_LIFETIME / 2 - timedelta(seconds=1)
    assert cache.context_for(HOST) is first
    now[0] += timedelta(seconds=2)
    assert cache.context_for(HOST) is not first
    assert (cache.issued, cache.hits, len(cache)) == (2, 1, 1)


def test_the_longest_unused_leaf_is_forgotten(
    authority: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CONTEXTS_LIMIT", 2)
    cache = LeafCache(authority=authority)
    first = cache.context_for("1.test")
    cache.context_for("2.test")
    cache.context_for("1.test")
    cache.context_for("3.test")
    assert cache.context_for("1.test") is first
    assert len(cache) == 2
