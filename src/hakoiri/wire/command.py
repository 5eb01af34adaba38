"""A command in a box: what is run, what it says, and how it ends.

`POST /exec` on the agent's socket takes `RunCommand` and answers SSE of `CommandFrame`, numbered
from 1, `exit` the last. The command belongs to its stream: closing it kills the command with its
whole process group. 429 when `COMMANDS_AT_ONCE` run already, 503 when the agent is stopping.

A command that cannot be started ends as in a shell: the reason on stderr, and 127 where there is no
such program, 126 for every other reason.
"""

from pathlib import PurePosixPath
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, model_validator

from hakoiri.wire.base64_text import decode, encode
from hakoiri.wire.command_limits import (
    ARGUMENT_LIMIT_CHARS,
    FRAME_LIMIT_BYTES,
    OUTPUT_LIMIT_MAX_BYTES,
    PATH_LIMIT_CHARS,
    START_LIMIT_BYTES,
    STDIN_LIMIT_BYTES,
    TIMEOUT_MAX_S,
    WORKING_ROOT,
)
from hakoiri.wire.messages import REMEMBERS_NAMES, Message

NOT_FOUND_CODE: Final = 127
NOT_STARTED_CODE: Final = 126

KEY_PREFIXES: Final = (
    "ANTHROPIC_",
    "AWS_",
    "CLAUDE_",
    "GH_TOKEN",
    "GITHUB_TOKEN",
    "HAKOIRI_",
    "OPENAI_",
)
"""Variables that hold keys, or lead the agent to its model. No key enters a box, by mistake or not:
the credential proxy puts it in outside."""

WAY_OUT: Final = frozenset({"ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"})
"""In either case of letters; set by the image, and the only way there is."""


def _checked(text: str) -> str:
    decode(text)
    return text


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("it holds NUL, which no argument or variable can")
    return text


def _unreserved(name: str) -> str:
    if name.startswith(KEY_PREFIXES):
        raise ValueError(
            f"{name} may hold a key, and none enters a box: give it to the credential proxy"
        )
    if name.upper() in WAY_OUT:
        raise ValueError(f"{name} is the way out of the box and cannot be changed")
    return name


def _inside(directory: str) -> str:
    path = PurePosixPath(WORKING_ROOT, directory)
    if ".." in path.parts or path.parts[:2] != ("/", WORKING_ROOT[1:]):
        raise ValueError(f"it must lie in {WORKING_ROOT}, without '..'")
    return str(path)


def _base64_chars(limit_bytes: int) -> int:
    return -(-limit_bytes // 3) * 4


Argument = Annotated[
    str, StringConstraints(max_length=ARGUMENT_LIMIT_CHARS), AfterValidator(_without_nul)
]
VariableName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=256),
    AfterValidator(_unreserved),
]
Directory = Annotated[
    str,
    StringConstraints(max_length=PATH_LIMIT_CHARS),
    AfterValidator(_without_nul),
    AfterValidator(_inside),
]


class Start(Message):
    """What is run and where. `directory` may be relative to `/workspace`; variables are added."""

    argv: list[Argument] = Field(min_length=1, max_length=4096)
    environment: dict[VariableName, Argument] = Field(default={}, max_length=256)
    directory: Directory = WORKING_ROOT

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.argv[0]:
            raise ValueError("argv: the first one names the program and cannot be empty")
        total = sum(len(text.encode()) + 1 for text in self.argv)
        total += sum(len(k) + len(v.encode()) + 2 for k, v in self.environment.items())
        if total > START_LIMIT_BYTES:
            raise ValueError(
                f"argv and environment have {total} bytes together, over {START_LIMIT_BYTES}; "
                "send large data as stdin, or as a file"
            )
        return self


class RunCommand(Start):
    """`stdin` is base64; absent, the command reads nothing. What exceeds the output is dropped."""

    stdin: (
        Annotated[
            str,
            StringConstraints(max_length=_base64_chars(STDIN_LIMIT_BYTES)),
            AfterValidator(_checked),
        ]
        | None
    ) = None
    timeout_s: float = Field(gt=0, le=TIMEOUT_MAX_S, allow_inf_nan=False)
    output_limit_bytes: int = Field(ge=0, le=OUTPUT_LIMIT_MAX_BYTES)


class CommandOutput(Message):
    """Some bytes that the command wrote, in their order within each of the two streams."""

    type: Literal["stdout", "stderr"]
    base64: Annotated[
        str,
        StringConstraints(max_length=_base64_chars(FRAME_LIMIT_BYTES)),
        AfterValidator(_checked),
    ]

    @classmethod
    def of(cls, stream: Literal["stdout", "stderr"], raw: bytes) -> Self:
        """Return the frame of these bytes, at most `FRAME_LIMIT_BYTES`."""
        return cls(type=stream, base64=encode(raw))

    @property
    def raw(self) -> bytes:
        """The bytes themselves."""
        return decode(self.base64)


class CommandExit(Message):
    """The command's end: an exit code, or the signal that ended it.

    `timed_out` when it was killed at its time limit, `output_cut` when output was dropped.
    """

    type: Literal["exit"] = "exit"
    code: int | None = Field(default=None, ge=0, le=255)
    signal: int | None = Field(default=None, ge=1, le=64)
    timed_out: bool = False
    output_cut: bool = False

    @model_validator(mode="after")
    def _ended_one_way(self) -> Self:
        if (self.code is None) == (self.signal is None):
            raise ValueError("a command ends with a code or by a signal")
        return self


CommandFrame = Annotated[CommandOutput | CommandExit, Field(discriminator="type")]
command_frame_adapter: TypeAdapter[CommandFrame] = TypeAdapter(CommandFrame, config=REMEMBERS_NAMES)
