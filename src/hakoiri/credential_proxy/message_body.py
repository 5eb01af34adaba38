"""What a model request's body says at its top: found piece by piece, in bounded memory. No I/O.

A body is JSON of up to 32 MiB, and hostile. It is read strictly (RFC 8259, in UTF-8 without a byte
order mark): what two parsers could read differently is refused, so that what was found here is what
the upstream finds.
"""

import codecs
import json
import re
from collections.abc import Collection, Iterable
from enum import Enum, auto
from typing import Final

from hakoiri.credential_proxy.errors import CredentialProxyError

DEPTH_LIMIT: Final = 200
TOKENS_LIMIT: Final = 1_000_000
"""Of the whole body; each costs about a microsecond. Long texts are one token each."""

NAME_LIMIT_CHARS: Final = 1024
VALUE_LIMIT_CHARS: Final = 4096
"""Of a member that was asked for, as it is spelt."""

MODEL: Final = "model"

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

    A name that comes twice, or in another letter case too, is refused (Go's parser takes both, and
    parsers differ on which of two counts), and so is a member whose value is no scalar.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._names = {name.casefold(): name for name in names}
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
        if len(self._open) >= DEPTH_LIMIT:
            raise MessageBodyError(f"the body is nested more than {DEPTH_LIMIT} deep")
        self._open.append(word)
        self._expect = _Expect.NAME_OR_END if word == "{" else _Expect.VALUE_OR_END

    def _closed(self, word: str) -> None:
        is_sound = self._open and self._open[-1] == _OPENED_BY[word]
        if not is_sound or self._expect not in _ENDS[word]:
            raise _unsound()
        self._open.pop()
        self._expect = _Expect.COMMA_OR_END if self._open else _Expect.NOTHING

    def _scalar(self, word: str) -> None:
        if self._expect not in _VALUES:
            raise _unsound()
        if self._member is not None:
            self._found[self._member] = json.loads(word)
            self._member = None
        self._expect = _Expect.COMMA_OR_END

    def _begin_string(self) -> None:
        self._is_in_name = self._expect in _NAMES
        if not self._is_in_name and self._expect not in _VALUES:
            raise _unsound()
        self._is_in_string = True
        is_wanted = len(self._open) == 1 and (self._is_in_name or self._member is not None)
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
        if self._member is not None:
            self._found[self._member] = text
            self._member = None

    def _named(self, name: str) -> None:
        wanted = self._names.get(name.casefold())
        if wanted is None:
            return
        if wanted != name or wanted in self._found:
            raise MessageBodyError(f"the body must name {wanted!r} once, in this spelling")
        self._member = wanted


def read_members(pieces: Iterable[bytes], names: Collection[str]) -> dict[str, Scalar]:
    """Return those members of the JSON object in `pieces` that have `names`, scalars all.

    Raises:
        MessageBodyError: the body is no sound object, or names one of them twice or as a structure.
    """
    scanner = MemberScanner(names)
    for piece in pieces:
        scanner.feed(piece)
    return scanner.finish()


def model_of(members: dict[str, Scalar]) -> str:
    """Return the model that a body's members name.

    Raises:
        MessageBodyError: they name none, or not as a string.
    """
    model = members.get(MODEL)
    if not isinstance(model, str):
        raise MessageBodyError("the body must name its model once, as a string")
    return model


def _unsound() -> MessageBodyError:
    return MessageBodyError("the body is not a JSON object in UTF-8")
