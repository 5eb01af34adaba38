import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from hakoiri.credential_proxy.errors import ConfigurationError
from hakoiri.credential_proxy.interception.certificate_authority import (
    FILE_NAME,
    LEAF_LIFETIME,
    LIFETIME,
    CertificateAuthority,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_it_is_made_once_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    first = CertificateAuthority.load(tmp_path, now=NOW)
    assert CertificateAuthority.load(tmp_path, now=NOW).certificate_pem == first.certificate_pem
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE" not in first.certificate_pem


def test_two_installations_do_not_trust_each_other(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = CertificateAuthority.load(tmp_path / "a", now=NOW)
    second = CertificateAuthority.load(tmp_path / "b", now=NOW)
    assert first.certificate_pem != second.certificate_pem


def test_it_is_renewed_before_it_ends(tmp_path: Path) -> None:
    first = CertificateAuthority.load(tmp_path, now=NOW)
    late = NOW + LIFETIME - timedelta(days=30)
    assert CertificateAuthority.load(tmp_path, now=late).certificate_pem != first.certificate_pem


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    CertificateAuthority.load(tmp_path, now=NOW)
    (tmp_path / FILE_NAME).chmod(mode)
    with pytest.raises(ConfigurationError, match="nobody else"):
        CertificateAuthority.load(tmp_path, now=NOW)


def test_a_link_a_pipe_and_nonsense_are_refused(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(b"nonsense")
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="delete it"):
        CertificateAuthority.load(tmp_path, now=NOW)
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    with pytest.raises(ConfigurationError):
        CertificateAuthority.load(tmp_path, now=NOW)
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(ConfigurationError, match="must be a file"):
        CertificateAuthority.load(tmp_path, now=NOW)


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    CertificateAuthority.load(tmp_path, now=NOW)
    first = path.read_bytes()
    path.unlink()
    CertificateAuthority.load(tmp_path, now=NOW)
    second = path.read_bytes()
    marker = b"-----BEGIN CERTIFICATE-----"
    path.write_bytes(first.split(marker)[0] + marker + second.split(marker)[1])
    with pytest.raises(ConfigurationError, match="do not belong together"):
        CertificateAuthority.load(tmp_path, now=NOW)


def test_a_leaf_is_for_one_host_short_lived_and_no_authority(tmp_path: Path) -> None:
    authority = CertificateAuthority.load(tmp_path, now=NOW)
    host = "a" * 60 + ".example.test"
    leaf = x509.load_pem_x509_certificate(authority.issue(host, now=NOW))
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [host]
    assert leaf.not_valid_after_utc == NOW + LEAF_LIFETIME
    assert leaf.not_valid_before_utc < NOW
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate_pem))


def test_the_strictest_client_takes_the_authority(tmp_path: Path) -> None:
    authority = CertificateAuthority.load(tmp_path, now=NOW)
    context = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    assert context.cert_store_stats()["x509_ca"] == 1
