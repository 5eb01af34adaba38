"""A git repository that a box is to clone: what may be asked for, and what the box tells of it.

`python -m hakoiri.workspace_agent.git_import` runs in the box as a command. Its standard input is a
`CloneRequest`, its standard output lines of JSON (`CloneLine`), the last of which is `CloneDone` or
`CloneFailed`. All that it tells is the box's word.
"""

import re
from typing import Annotated, Final, Literal
from urllib.parse import unquote

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter

from hakoiri.wire.base64_text import decode
from hakoiri.wire.messages import REMEMBERS_NAMES, Message, ShortText

IMPORT_DIRECTORY: Final = ".hakoiri-import"
"""At the top of a workspace, where a clone lies until it is whole. It is never saved."""

URL_LIMIT_CHARS: Final = 2048
REF_LIMIT_BYTES: Final = 255
DEPTH_MAX: Final = 100_000
TARGET_LIMIT_CHARS: Final = 8192
"""A path of 4096 bytes, as base64."""

LINE_LIMIT_BYTES: Final = 16 * 1024
"""One `CloneLine`; the text of a failure is the longest part."""

_URL: Final = re.compile(r"(https?)://([^/?#\\]*)(/[^?#\\]*)", re.IGNORECASE)
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PLACE: Final = re.compile(rf"({_LABEL}(?:\.{_LABEL})+)(?::([1-9][0-9]{{0,4}}))?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label by which clients take a host for an address (WHATWG URL, "ends in a number")."""

_SEGMENT: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+")
_UNCLEAR: Final = re.compile(r"%(?:[01][0-9a-f]|7f|2[ef]|5c)", re.IGNORECASE)
"""Controls, dots and slashes in disguise: a path that two servers might read differently."""

_REFUSED_IN_REF: Final = re.compile(r"[\x00-\x20\x7f~^:?*\[\\\ud800-\udfff]|\.\.|//|@\{")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,199}")
_PORT_MAX: Final = 65535
_HOST_LIMIT_CHARS: Final = 253


def check_url(url: str) -> str:
    """Return the URL in its plain form; `ValueError` for all but HTTP(S) without a login or query.

    No other transport of git has a way through the proxy, and `ext::` would run a program.
    """
    found = _URL.fullmatch(url)
    if found is None or not url.isascii():
        raise ValueError(
            "write https://HOST/PATH (or http:// where a rule of the policy has its port); ssh, "
            "file and other transports are not taken, nor is a query"
        )
    if "@" in found[2]:
        raise ValueError(
            "a login in the URL would enter the box; define it in the credential proxy's own file "
            "and name it in a rule of the policy for the host"
        )
    scheme, place = found[1].lower(), found[2].lower()
    named = _PLACE.fullmatch(place)
    if (
        named is None
        or len(named[1]) > _HOST_LIMIT_CHARS
        or _NUMBER.fullmatch(named[1].rpartition(".")[2])
        or int(named[2] or 1) > _PORT_MAX
    ):
        raise ValueError("the host must be a name of at least two parts, like git.example.com")
    path = found[3].removesuffix("/")
    for segment in path.split("/")[1:] or [""]:
        if _SEGMENT.fullmatch(segment) is None or segment in (".", ".."):
            raise ValueError("the path must name a repository, without empty or dot segments")
    if _UNCLEAR.search(path):
        raise ValueError("the path hides a control character, a dot or a slash behind a %")
    return f"{scheme}://{place}{path}"


def check_ref(ref: str) -> str:
    """Return the name of a branch or tag, or a whole commit hash; `ValueError` for anything else.

    Source: git-check-ref-format(1) with `--allow-onelevel`, and that of `--branch` for the dash.
    """
    parts = ref.split("/")
    if (
        len(ref.encode("utf-8", "surrogatepass")) > REF_LIMIT_BYTES
        or _REFUSED_IN_REF.search(ref)
        or ref in ("", "@")
        or ref.startswith(("-", "/"))
        or ref.endswith(("/", "."))
        or any(part.startswith(".") or part.endswith(".lock") for part in parts)
    ):
        raise ValueError(
            "name a branch or a tag as git does, or a commit by its whole hash "
            f"(at most {REF_LIMIT_BYTES} bytes)"
        )
    return ref


def is_commit(ref: str) -> bool:
    """Whether a ref is a commit's whole hash, SHA-1 or SHA-256."""
    return _COMMIT.fullmatch(ref) is not None


def host_of(url: str) -> str:
    """Return the host of a checked URL, with its port if it names one."""
    return url.partition("://")[2].partition("/")[0]


def directory_of(url: str) -> str | None:
    """Return the name that git would give a checked URL's clone; None if it is no plain one."""
    name = unquote(url.rpartition("/")[2]).removesuffix(".git")
    return name if _NAME.fullmatch(name) else None


def _base64(text: str) -> str:
    decode(text)
    return text


GitUrl = Annotated[str, StringConstraints(max_length=URL_LIMIT_CHARS), AfterValidator(check_url)]
GitRef = Annotated[str, StringConstraints(max_length=REF_LIMIT_BYTES), AfterValidator(check_ref)]


class GitSource(Message):
    """What is to be cloned: a branch, a tag or a commit (absent: the repository's own choice).

    `depth` counts commits from there; absent, all of its history comes along.
    """

    url: GitUrl
    ref: GitRef | None = None
    depth: Annotated[int, Field(ge=1, le=DEPTH_MAX)] | None = None


class CloneRequest(Message):
    """`target` is the path below the workspace, raw bytes as base64."""

    source: GitSource
    target: Annotated[
        str, StringConstraints(max_length=TARGET_LIMIT_CHARS), AfterValidator(_base64)
    ]


Stage = Literal["counting", "compressing", "receiving", "unpacking", "resolving", "updating"]
"""What git does, in its order; the first two on the other side."""

FailureCode = Literal[
    "refused",
    "login",
    "no-such-repository",
    "no-such-ref",
    "no-space",
    "target-in-use",
    "failed",
]


class CloneProgress(Message):
    """How far a stage is; `percent` is absent where git cannot tell."""

    type: Literal["progress"] = "progress"
    stage: Stage
    percent: Annotated[int, Field(ge=0, le=100)] | None = None


class CloneDone(Message):
    """The repository lies at its place, with this commit checked out."""

    type: Literal["done"] = "done"
    commit: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")]


class CloneFailed(Message):
    """Nothing was imported; `text` is git's own word, cut."""

    type: Literal["failed"] = "failed"
    code: FailureCode
    text: ShortText


CloneLine = Annotated[CloneProgress | CloneDone | CloneFailed, Field(discriminator="type")]
clone_line_adapter: TypeAdapter[CloneLine] = TypeAdapter(CloneLine, config=REMEMBERS_NAMES)
