"""The certificates that containers trust: the host's own, and the installation's authority."""

import os
import secrets
import ssl
from pathlib import Path
from typing import Final

from hakoiri.credential_proxy.errors import ConfigurationError

_MODE: Final = 0o444
_BUNDLE_LIMIT_BYTES: Final = 16 * 1024 * 1024


class TrustBundle:
    """One file for all containers, given to each as a hard link beside its socket.

    The containers' directories must be on the file system of `directory`. A container sees it
    read-only.
    """

    def __init__(self, *, directory: Path, name: str, certificate_pem: bytes) -> None:
        """Write the bundle.

        Raises:
            ConfigurationError: it cannot be written.
        """
        self._name = name
        self._path = directory / name
        partial = directory / f"{name}.{secrets.token_hex(4)}.new"
        try:
            with partial.open("xb") as file:
                file.write(_host_certificates() + certificate_pem)
                os.fchmod(file.fileno(), _MODE)
            partial.rename(self._path)
        except OSError as error:
            raise ConfigurationError(f"{self._path}: {error.strerror}") from error

    def put_into(self, directory: Path) -> None:
        """Link the bundle into a container's directory, in place of one from before.

        Raises:
            OSError: the directory does not take it.
        """
        given = directory / self._name
        if given.exists() and given.samefile(self._path):
            return  # a rename onto another link of the same file would leave both (rename(2))
        partial = directory / f"{self._name}.new"
        partial.unlink(missing_ok=True)
        os.link(self._path, partial)
        partial.rename(given)

    def take_from(self, directory: Path) -> None:
        """Remove the bundle from a container's directory."""
        (directory / self._name).unlink(missing_ok=True)


def _host_certificates() -> bytes:
    """Return the certificates that OpenSSL trusts on this host; none when it keeps no one file."""
    paths = ssl.get_default_verify_paths()
    path = Path(paths.cafile or paths.openssl_cafile)
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        content = file.read(_BUNDLE_LIMIT_BYTES)
    return content if content.endswith(b"\n") else content + b"\n"
