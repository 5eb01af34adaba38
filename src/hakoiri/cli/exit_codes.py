"""Exit codes that mean the same with every command."""

from typing import Final

TIMED_OUT: Final = 124
"""As timeout(1) says it."""

INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141
"""128 and the number of SIGINT and SIGPIPE, as shells say it."""
