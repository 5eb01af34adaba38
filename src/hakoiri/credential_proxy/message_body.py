"""What a model request's body says at its top: found piece by piece, in bounded memory. No I/O.

A body is JSON of up to 32 MiB, and hostile. It is read strictly (RFC 8259, in UTF-8 without a byte
order mark): what two parsers could read differently is refused, so that what was found here is what
the upstream finds.
"""

import codecs
import json
import re
from collections.abc import Collection, Iterable, Mapping
from enum import Enum, auto
from typing import Final

from hakoiri.credential_proxy.budgets.charge import Operation
from hakoiri.credential_proxy.errors import CredentialProxyError

DEPTH_LIMIT: Final = 200
TOKENS_LIMIT: Final = 1_000_000
"""Of the whole body; each costs about a microsecond. Long texts are one token each."""

NAME_LIMIT_CHARS: Final = 1024
VALUE_LIMIT_CHARS: Final = 4096
"""Of a member that was asked for, as it is spelt."""

MODEL: Final = "model"
MAX_TOKENS_LIMIT: Final = 10**7
_MOST: Final = "max_tokens"
_CONVERSE_MOST: Final = "inferenceConfig.maxTokens"
_CONVERSE_EXTRAS: Final = tuple(
    f"additionalModelRequestFields.{name}"
    for name in (
        *("max_tokens", "maxTokens", "max_tokens_to_sample", "max_new_tokens"),
        "max_completion_tokens",
    )
)
"""Where a Converse request could say it once more, in its model's own words."""


_TOP: Final = ""

Scalar = str | int | float | bool | None

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_NUMBER: Final = r"-?(?:0|[1-9][0-9]{0,99})(?:\.[0-9]{1,99})?(?:[eE][+-]?[0-9]{1,9})?"
_TOKEN: Final = re.compile(rf'[{{}}\[\],:"]|true|false|null|{_NUMBER}')
_TOKEN_LIMIT_CHARS: Final = 256
"""No number or literal is longer; one at the end of what has come might go on."""

_IN_STRING: Final = re.compile(
    r'[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})[^"\\\x00-\x1f]*)*'
)
_ESCAPE_CHARS: Final = len("\\u0000")


class MessageBodyError(CredentialProxyError):
    """The body does not say beyond doubt what was asked for; the message tells why."""


class _Expect(Enum):
    """What may come next."""

    OBJECT = auto()
    VALUE = auto()
    VALUE_OR_END = auto()
    NAME = auto()
    NAME_OR_END = auto()
    COLON = auto()
    COMMA_OR_END = auto()
    NOTHING = auto()


_VALUES: Final = frozenset({_Expect.VALUE, _Expect.VALUE_OR_END})
_NAMES: Final = frozenset({_Expect.NAME, _Expect.NAME_OR_END})
_ENDS: Final = {
    "}": frozenset({_Expect.NAME_OR_END, _Expect.COMMA_OR_END}),
    "]": frozenset({_Expect.VALUE_OR_END, _Expect.COMMA_OR_END}),
}
_OPENED_BY: Final = {"}": "{", "]": "["}


class MemberScanner:
    """Takes a body piece by piece, and keeps the members of its top object that have `names`.

    `a.b` names the member `b` of the object that is the member `a`. A name that comes twice, or in
    another letter case too, is refused (Go's parser takes both, and parsers differ on which of two
    counts), and so is a member whose value is no scalar, or whose `a` is no object.
    """

    def __init__(self, names: Collection[str]) -> None:
        split = [name.rpartition(".") for name in names]
        self._wanted: dict[str, dict[str, str]] = {_TOP: {}}
        for parent, _, name in split:
            self._wanted.setdefault(parent, {})[name.casefold()] = name
        self._parents = {parent.casefold(): parent for parent in self._wanted if parent}
        self._entered: set[str] = set()
        self._entering: str | None = None  # the one whose object comes
        self._parent: str | None = _TOP  # whose members come, if any of them are wanted
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._rest = ""
        self._open: list[str] = []
        self._expect = _Expect.OBJECT
        self._tokens = 0
        self._is_in_string = False
        self._is_in_name = False
        self._kept: list[str] | None = None  # a string that is wanted, as it is spelt
        self._kept_chars = 0
        self._member: str | None = None  # the wanted one whose value comes
        self._found: dict[str, Scalar] = {}

    def feed(self, piece: bytes) -> None:
        """Take what comes next.

        Raises:
            MessageBodyError: it cannot be a sound body.
        """
        self._read(piece, is_last=False)

    def finish(self) -> dict[str, Scalar]:
        """Return the members that were found, once all of the body was fed.

        Raises:
            MessageBodyError: it is not whole.
        """
        self._read(b"", is_last=True)
        if self._expect is not _Expect.NOTHING:
            raise _unsound()
        return self._found

    def _read(self, piece: bytes, *, is_last: bool) -> None:
        try:
            text = self._rest + self._decoder.decode(piece, is_last)
        except UnicodeDecodeError as error:
            raise _unsound() from error
        at = 0
        while at < len(text):
            until = self._string(text, at) if self._is_in_string else self._token(text, at, is_last)
            if until is None:
                break
            at = until
        self._rest = text[at:]
        if is_last and self._rest:
            raise _unsound()

    def _token(self, text: str, at: int, is_last: bool) -> int | None:  # noqa: FBT001 - inside
        """Take one token; return where it ends, or None when more of it may come."""
        space = _SPACE.match(text, at)
        start = space.end() if space is not None else at
        if start == len(text):
            return start
        found = _TOKEN.match(text, start)
        word = found[0] if found is not None else ""
        is_word = len(word) != 1 or word not in '{}[],:"'
        if is_word and not is_last and len(text) - start < _TOKEN_LIMIT_CHARS:
            return None if start == at else start
        if not word:
            raise _unsound()
        self._tokens += 1
        if self._tokens > TOKENS_LIMIT:
            raise MessageBodyError(f"the body has more than {TOKENS_LIMIT} tokens")
        if word == '"':
            self._begin_string()
        elif is_word:
            self._scalar(word)
        else:
            self._structure(word)
        return start + len(word)

    def _structure(self, word: str) -> None:
        if word in "{[":
            self._opened(word)
        elif word in "}]":
            self._closed(word)
        elif word == ":" and self._expect is _Expect.COLON:
            self._expect = _Expect.VALUE
        elif word == "," and self._expect is _Expect.COMMA_OR_END:
            self._expect = _Expect.NAME if self._open[-1] == "{" else _Expect.VALUE
        else:
            raise _unsound()

    def _opened(self, word: str) -> None:
        is_top = self._expect is _Expect.OBJECT and word == "{"
        if not is_top and self._expect not in _VALUES:
            raise _unsound()
        if self._member is not None:
            raise MessageBodyError(f"{self._member!r} in the body must be no object or list")
        if self._entering is not None and word != "{":
            raise self._no_object()
        if len(self._open) == 1:
            self._parent, self._entering = self._entering, None
        if len(self._open) >= DEPTH_LIMIT:
            raise MessageBodyError(f"the body is nested more than {DEPTH_LIMIT} deep")
        self._open.append(word)
        self._expect = _Expect.NAME_OR_END if word == "{" else _Expect.VALUE_OR_END

    def _closed(self, word: str) -> None:
        is_sound = self._open and self._open[-1] == _OPENED_BY[word]
        if not is_sound or self._expect not in _ENDS[word]:
            raise _unsound()
        self._open.pop()
        if len(self._open) == 1:
            self._parent = _TOP
        self._expect = _Expect.COMMA_OR_END if self._open else _Expect.NOTHING

    def _scalar(self, word: str) -> None:
        if self._expect not in _VALUES:
            raise _unsound()
        if self._entering is not None and word != "null":
            raise self._no_object()
        self._entering = None
        if self._member is not None:
            self._found[self._member] = json.loads(word)
            self._member = None
        self._expect = _Expect.COMMA_OR_END

    def _begin_string(self) -> None:
        self._is_in_name = self._expect in _NAMES
        if not self._is_in_name and self._expect not in _VALUES:
            raise _unsound()
        self._is_in_string = True
        is_wanted = self._is_in_wanted() and (self._is_in_name or self._member is not None)
        self._kept, self._kept_chars = [] if is_wanted else None, 0

    def _string(self, text: str, at: int) -> int | None:
        """Take what is there of a string; return where that ends, or None within an escape."""
        found = _IN_STRING.match(text, at)
        end = found.end() if found is not None else at
        if self._kept is not None:
            self._keep(self._kept, text[at:end])
        if end == len(text):
            return end
        if text[end] == '"':
            self._end_string()
            return end + 1
        if text[end] != "\\" or len(text) - end >= _ESCAPE_CHARS:
            raise _unsound()
        return None if end == at else end

    def _keep(self, kept: list[str], part: str) -> None:
        self._kept_chars += len(part)
        limit = NAME_LIMIT_CHARS if self._is_in_name else VALUE_LIMIT_CHARS
        if self._kept_chars > limit:
            what = "a name" if self._is_in_name else f"{self._member!r}"
            raise MessageBodyError(f"{what} in the body is longer than {limit} characters")
        kept.append(part)

    def _end_string(self) -> None:
        self._is_in_string = False
        text = "" if self._kept is None else json.loads('"' + "".join(self._kept) + '"')
        if self._is_in_name:
            self._expect = _Expect.COLON
            if self._kept is not None:
                self._named(text)
            return
        self._expect = _Expect.COMMA_OR_END
        if self._entering is not None:
            raise self._no_object()
        if self._member is not None:
            self._found[self._member] = text
            self._member = None

    def _is_in_wanted(self) -> bool:
        """Whether what comes is a member of an object of which some are wanted."""
        depth = 1 if self._parent == _TOP else 2
        return self._parent is not None and len(self._open) == depth

    def _named(self, name: str) -> None:
        parent, folded = self._parent or _TOP, name.casefold()
        wanted = self._wanted[parent].get(folded)
        if wanted is not None:
            member = f"{parent}.{wanted}" if parent else wanted
            if wanted != name or member in self._found:
                raise MessageBodyError(f"the body must name {member!r} once, in this spelling")
            self._member = member
        elif parent == _TOP and folded in self._parents:
            self._enter(self._parents[folded], name)

    def _enter(self, parent: str, name: str) -> None:
        if parent != name or parent in self._entered:
            raise MessageBodyError(f"the body must name {parent!r} once, in this spelling")
        self._entered.add(parent)
        self._entering = parent

    def _no_object(self) -> MessageBodyError:
        return MessageBodyError(f"{self._entering!r} in the body must be an object")


def read_members(pieces: Iterable[bytes], names: Collection[str]) -> dict[str, Scalar]:
    """Return those members of the JSON object in `pieces` that have `names`, scalars all.

    Raises:
        MessageBodyError: the body is no sound object, or names one of them twice or as a structure.
    """
    scanner = MemberScanner(names)
    for piece in pieces:
        scanner.feed(piece)
    return scanner.finish()


def model_of(members: Mapping[str, Scalar]) -> str:
    """Return the model that a body's members name.

    Raises:
        MessageBodyError: they name none, or not as a string.
    """
    model = members.get(MODEL)
    if not isinstance(model, str):
        raise MessageBodyError("the body must name its model once, as a string")
    return model


def max_tokens_names(operation: Operation) -> tuple[str, ...]:
    """Return the members in which an operation's body says what it asks for at most."""
    return (_CONVERSE_MOST, *_CONVERSE_EXTRAS) if operation == "converse" else (_MOST,)


def max_tokens_of(members: Mapping[str, Scalar], operation: Operation) -> int | None:
    """Return the most tokens that a body's members ask for; None if they do not say.

    Raises:
        MessageBodyError: they say so elsewhere too, or not as a whole number.
    """
    if not members.keys().isdisjoint(_CONVERSE_EXTRAS):
        raise MessageBodyError(f"say the most tokens in {_CONVERSE_MOST} alone")
    name = _CONVERSE_MOST if operation == "converse" else _MOST
    value = members.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_TOKENS_LIMIT:
        raise MessageBodyError(f"{name} must be a whole number from 1 to {MAX_TOKENS_LIMIT}")
    return value


def _unsound() -> MessageBodyError:
    return MessageBodyError("the body is not a JSON object in UTF-8")
