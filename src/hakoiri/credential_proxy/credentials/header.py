"""A secret set as one header, from a variable of the proxy's environment or a file."""

from collections.abc import Mapping

from hakoiri.credential_proxy.credential_definitions import HeaderCredential
from hakoiri.credential_proxy.credentials.secret import Secret
from hakoiri.credential_proxy.errors import CredentialError
from hakoiri.credential_proxy.trusted_file import read_trusted_file


def load_header_secret(
    credential: HeaderCredential, *, name: str, environ: Mapping[str, str]
) -> Secret:
    """Read the secret that `credential` points to; a file loses its last line break.

    Raises:
        CredentialError: the variable is not set.
        ConfigurationError: the value or its file cannot be used.
    """
    if credential.value_file is not None:
        value = read_trusted_file(credential.value_file).removesuffix("\n").removesuffix("\r")
        return Secret(value, name=f"credentials.{name}.value_file")
    variable = credential.value_env or ""
    return read_variable(variable, name=f"credentials.{name}.value_env", environ=environ)


def read_variable(variable: str, *, name: str, environ: Mapping[str, str]) -> Secret:
    """Read a secret from the environment.

    Raises:
        CredentialError: the variable is not set.
        ConfigurationError: the value cannot be sent.
    """
    value = environ.get(variable)
    if value is None:
        raise CredentialError(f"{name}: {variable} is not set in the proxy's environment")
    return Secret(value, name=f"{name} ({variable})")
