import ssl
from pathlib import Path

import pytest

from hakoiri.credential_proxy.errors import ConfigurationError
from hakoiri.credential_proxy.interception.trust_bundle import TrustBundle

OURS = b"-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n"


def test_a_container_gets_the_hosts_certificates_and_ours_in_one_shared_file(
    tmp_path: Path,
) -> None:
    bundle = TrustBundle(directory=tmp_path, name="ca.pem", certificate_pem=OURS)
    container = tmp_path / "c1"
    container.mkdir()
    bundle.put_into(container)
    bundle.put_into(container)
    given = container / "ca.pem"
    assert given.read_bytes().endswith(OURS)
    paths = ssl.get_default_verify_paths()
    host = Path(paths.cafile or paths.openssl_cafile)
    if host.is_file():
        assert given.read_bytes().startswith(host.read_bytes())
    assert given.samefile(tmp_path / "ca.pem")
    assert given.stat().st_mode & 0o777 == 0o444
    assert [path.name for path in container.iterdir()] == ["ca.pem"]
    bundle.take_from(container)
    bundle.take_from(container)
    assert list(container.iterdir()) == []


def test_a_new_bundle_takes_the_place_of_the_old_one_at_once(tmp_path: Path) -> None:
    TrustBundle(directory=tmp_path, name="ca.pem", certificate_pem=b"old\n")
    TrustBundle(directory=tmp_path, name="ca.pem", certificate_pem=OURS)
    assert (tmp_path / "ca.pem").read_bytes().endswith(OURS)
    assert [path.name for path in tmp_path.iterdir()] == ["ca.pem"]


def test_a_directory_that_takes_no_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        TrustBundle(directory=tmp_path / "absent", name="ca.pem", certificate_pem=OURS)
