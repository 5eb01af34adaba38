"""What is in force now: the configuration and the credentials read with it."""

from collections.abc import Callable

from hakoiri.credential_proxy.addresses import AddressAndPort
from hakoiri.credential_proxy.configuration import Configuration, Network
from hakoiri.credential_proxy.credentials.keyring import Keyring

ReadConfiguration = Callable[[], Configuration]
LoadKeyring = Callable[[Configuration], Keyring]
ConfigureNetwork = Callable[[Network, frozenset[AddressAndPort]], None]
"""Takes the network, and the fixed addresses that credentials' requests go to."""


class InForce:
    """Holds both together, so that a request never sees one new and the other old."""

    def __init__(
        self, *, read: ReadConfiguration, load: LoadKeyring, configure: ConfigureNetwork
    ) -> None:
        """Read for the first time; `configure` is given each network that comes into force.

        Raises:
            ConfigurationError: the proxy's file, or a secret it names, cannot be used.
        """
        self._read = read
        self._load = load
        self._configure = configure
        self.configuration = Configuration()
        self.keyring = load(self.configuration)
        self.reload()

    def reload(self) -> None:
        """Read the file and the secrets again, and put all of it in force at once.

        Raises:
            ConfigurationError: something cannot be used; all that was in force stays.
        """
        configuration = self._read()
        keyring = self._load(configuration)
        self._configure(configuration.network, configuration.endpoint_addresses)
        self.configuration, self.keyring = configuration, keyring
