"""The installation's own certificate authority, for hosts whose requests get a credential.

Each installation makes its own; containers trust it (see `trust_bundle`), nobody else does. The key
stays in the proxy's private directory.
"""

import os
import secrets
import stat
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hakoiri.credential_proxy.errors import ConfigurationError

FILE_NAME: Final = "certificate-authority.pem"
LIFETIME: Final = timedelta(days=3650)
RENEWED_BEFORE: Final = timedelta(days=60)
LEAF_LIFETIME: Final = timedelta(days=7)
_BACKDATED: Final = timedelta(hours=1)
"""A container's clock is the host's, but clocks are set back now and then."""

_NAME: Final = "Hakoiri installation "
_COMMON_NAME_LIMIT_CHARS: Final = 64
"""RFC 5280, appendix A, ub-common-name."""

_FILE_LIMIT_BYTES: Final = 64 * 1024
_OWNER_ONLY: Final = 0o600


class CertificateAuthority:
    """Signs certificates for single hosts.

    All leaves of a process share one key: they live as long, in the same memory, and a key for
    each would protect nothing more.
    """

    def __init__(self, *, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._leaf_key_pem = _key_pem(self._leaf_key)

    @classmethod
    def load(cls, directory: Path, *, now: datetime) -> Self:
        """Read the authority kept in `directory`, or make it; `now` is aware.

        Raises:
            ConfigurationError: it cannot be read or made, others could read its key, or it is not
                an authority; the message tells the mend.
        """
        path = directory / FILE_NAME
        try:
            made = _read(path)
            if made is None or made[0].not_valid_after_utc - RENEWED_BEFORE < now:
                made = _new(now)
                _write(path, made[0], made[1])
        except OSError as error:
            raise ConfigurationError(f"{path}: {error.strerror}") from error
        certificate, key = made
        return cls(certificate=certificate, key=key)

    @property
    def certificate_pem(self) -> bytes:
        """The authority's certificate, for those who are to trust it."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, host: str, *, now: datetime) -> bytes:
        """Return key and certificate for `host`, a plain name, in PEM, to be served as they are."""
        public_key = self._leaf_key.public_key()
        authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(host[:_COMMON_NAME_LIMIT_CHARS]))
            .issuer_name(self._certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATED)
            .not_valid_after(min(now + LEAF_LIFETIME, self._certificate.not_valid_after_utc))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(_key_usage(is_authority=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(authority_key, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return self._leaf_key_pem + certificate.public_bytes(serialization.Encoding.PEM)


def _new(now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(_NAME + secrets.token_hex(4))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(is_authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _read(path: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        is_ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
        if not is_ours or status.st_mode & 0o077:
            raise ConfigurationError(
                f"{path}: must be a file of the proxy's own user that nobody else can read;"
                " delete it if others have seen it, and a new one is made"
            )
        content = file.read(_FILE_LIMIT_BYTES)
    try:
        key = serialization.load_pem_private_key(content, password=None)
        certificate = x509.load_pem_x509_certificate(content)
    except ValueError as error:
        raise ConfigurationError(
            f"{path}: is not a key and a certificate; delete it, and a new one is made"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or (
        key.public_key() != certificate.public_key()
    ):
        raise ConfigurationError(
            f"{path}: key and certificate do not belong together; delete it, and a new one is made"
        )
    return certificate, key


def _write(path: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(partial, flags, _OWNER_ONLY), "wb") as file:
        file.write(_key_pem(key) + certificate.public_bytes(serialization.Encoding.PEM))
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
