"""How large and long a command's parts may be. Numbers alone, for who needs no message."""

from typing import Final

COMMANDS_AT_ONCE: Final = 16
"""In one box; host and agent both keep to it."""

WORKING_ROOT: Final = "/workspace"
PATH_LIMIT_CHARS: Final = 4095
ARGUMENT_LIMIT_CHARS: Final = 128 * 1024 - 1
"""One argument or variable: Linux's MAX_ARG_STRLEN with its ending NUL (execve(2))."""

START_LIMIT_BYTES: Final = 1024 * 1024
"""Arguments and variables together; Linux takes a quarter of the stack's limit, mostly 2 MiB."""

STDIN_LIMIT_BYTES: Final = 4 * 1024 * 1024
"""As base64 it fits into one request body."""

TIMEOUT_MAX_S: Final = 86_400
OUTPUT_LIMIT_MAX_BYTES: Final = 1024**3
FRAME_LIMIT_BYTES: Final = 64 * 1024
"""Output that one frame carries."""

FRAME_LINE_LIMIT_BYTES: Final = 2 * FRAME_LIMIT_BYTES
"""One SSE line with such a frame."""
