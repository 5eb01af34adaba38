"""What a transaction is told about itself."""

from typing import Final

WRITES: Final = "hakoiri_writes"
"""The execution option that marks a connection's transactions as writing."""
