"""JSON that is read strictly, piece by piece, in bounded memory. No I/O.

A body is up to 32 MiB, and hostile. It is read by RFC 8259, in UTF-8 without a byte order mark:
what two parsers could read differently is refused, so that what is found here is what the upstream
finds.
"""

import codecs
import json
import re
from enum import Enum, auto
from typing import Final

from hakoiri.credential_proxy.errors import CredentialProxyError

DEPTH_LIMIT: Final = 200
TOKENS_LIMIT: Final = 1_000_000
"""Of the whole body; each costs about a microsecond. Long texts are one token each."""

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


class JsonScanner:
    """Takes one JSON object piece by piece; a subclass says what of it is looked at.

    It is told of each name, scalar, beginning and end by the methods under "What is told".
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._rest = ""
        self._open: list[str] = []
        self._expect = _Expect.OBJECT
        self._tokens = 0
        self._is_in_string = False
        self._is_in_name = False
        self._kept: list[str] | None = None  # a string that is wanted, as it is spelt
        self._kept_chars = 0
        self._kept_limit_chars = 0

    def feed(self, piece: bytes) -> None:
        """Take what comes next.

        Raises:
            MessageBodyError: it cannot be a sound body.
        """
        self._read(piece, is_last=False)

    def end(self) -> None:
        """All of the body was fed.

        Raises:
            MessageBodyError: it is not whole.
        """
        self._read(b"", is_last=True)
        if self._expect is not _Expect.NOTHING:
            raise _unsound()

    # What is told

    def _string_limit(self) -> int | None:
        """Tell how many characters of the string that begins are kept; None for none of them."""
        return None

    def _too_long(self) -> None:
        """A string that was wanted is longer than its limit; it is not kept."""

    def _opens(self, word: str) -> None:
        """An object or a list begins inside those that are open."""

    def _closes(self) -> None:
        """One has ended."""

    def _named(self, name: str | None) -> None:
        """A member's name, None where it was not kept; its value comes next."""

    def _string_told(self, text: str | None) -> None:
        """A string that is no name, None where it was not kept."""

    def _scalar_told(self, word: str) -> None:
        """A number, `true`, `false` or `null`, as it is spelt."""

    # Reading

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
        self._opens(word)
        if len(self._open) >= DEPTH_LIMIT:
            raise MessageBodyError(f"the body is nested more than {DEPTH_LIMIT} deep")
        self._open.append(word)
        self._expect = _Expect.NAME_OR_END if word == "{" else _Expect.VALUE_OR_END

    def _closed(self, word: str) -> None:
        is_sound = self._open and self._open[-1] == _OPENED_BY[word]
        if not is_sound or self._expect not in _ENDS[word]:
            raise _unsound()
        self._open.pop()
        self._closes()
        self._expect = _Expect.COMMA_OR_END if self._open else _Expect.NOTHING

    def _scalar(self, word: str) -> None:
        if self._expect not in _VALUES:
            raise _unsound()
        self._scalar_told(word)
        self._expect = _Expect.COMMA_OR_END

    def _begin_string(self) -> None:
        self._is_in_name = self._expect in _NAMES
        if not self._is_in_name and self._expect not in _VALUES:
            raise _unsound()
        self._is_in_string = True
        limit = self._string_limit()
        self._kept, self._kept_chars = None if limit is None else [], 0
        self._kept_limit_chars = limit or 0

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
        if self._kept_chars > self._kept_limit_chars:
            self._too_long()
            self._kept = None
            return
        kept.append(part)

    def _end_string(self) -> None:
        self._is_in_string = False
        text = None if self._kept is None else _unescaped("".join(self._kept))
        if self._is_in_name:
            self._expect = _Expect.COLON
            self._named(text)
            return
        self._expect = _Expect.COMMA_OR_END
        self._string_told(text)


def _unescaped(spelt: str) -> str:
    if "\\" not in spelt:
        return spelt
    text: str = json.loads(f'"{spelt}"')
    return text


def _unsound() -> MessageBodyError:
    return MessageBodyError("the body is not a JSON object in UTF-8")
