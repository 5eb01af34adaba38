"""The version the agent reports; the package's metadata is not in the image."""

from typing import Final

AGENT_VERSION: Final = "0.1.0"
