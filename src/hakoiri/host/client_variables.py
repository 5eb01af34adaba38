"""Variables that tell the command line which server to speak to; no settings of the server.

They share the prefix of the settings, so those must know them. The standard library alone: the
command line must not wait for all settings to be built.
"""

from typing import Final

CLIENT_URL_VARIABLE: Final = "HAKOIRI_URL"
CLIENT_KEY_VARIABLE: Final = "HAKOIRI_KEY"
