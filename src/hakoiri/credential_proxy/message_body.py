"""What a model request's body says at its top: found piece by piece, in bounded memory. No I/O."""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from hakoiri.credential_proxy.budgets.charge import Operation
from hakoiri.credential_proxy.json_scanner import JsonScanner, MessageBodyError

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


class MemberScanner(JsonScanner):
    """Takes a body piece by piece, and keeps the members of its top object that have `names`.

    `a.b` names the member `b` of the object that is the member `a`. A name that comes twice, or in
    another letter case too, is refused (Go's parser takes both, and parsers differ on which of two
    counts), and so is a member whose value is no scalar, or whose `a` is no object.
    """

    def __init__(self, names: Collection[str]) -> None:
        super().__init__()
        split = [name.rpartition(".") for name in names]
        self._wanted: dict[str, dict[str, str]] = {_TOP: {}}
        for parent, _, name in split:
            self._wanted.setdefault(parent, {})[name.casefold()] = name
        self._parents = {parent.casefold(): parent for parent in self._wanted if parent}
        self._entered: set[str] = set()
        self._entering: str | None = None  # the one whose object comes
        self._parent: str | None = _TOP  # whose members come, if any of them are wanted
        self._member: str | None = None  # the wanted one whose value comes
        self._found: dict[str, Scalar] = {}

    def finish(self) -> dict[str, Scalar]:
        """Return the members that were found, once all of the body was fed.

        Raises:
            MessageBodyError: it is not whole.
        """
        self.end()
        return self._found

    def _opens(self, word: str) -> None:
        if self._member is not None:
            raise MessageBodyError(f"{self._member!r} in the body must be no object or list")
        if self._entering is not None and word != "{":
            raise self._no_object()
        if len(self._open) == 1:
            self._parent, self._entering = self._entering, None

    def _closes(self) -> None:
        if len(self._open) == 1:
            self._parent = _TOP

    def _scalar_told(self, word: str) -> None:
        if self._entering is not None and word != "null":
            raise self._no_object()
        self._entering = None
        if self._member is not None:
            self._found[self._member] = json.loads(word)
            self._member = None

    def _string_limit(self) -> int | None:
        if not self._is_in_wanted() or not (self._is_in_name or self._member is not None):
            return None
        return NAME_LIMIT_CHARS if self._is_in_name else VALUE_LIMIT_CHARS

    def _too_long(self) -> None:
        what = "a name" if self._is_in_name else f"{self._member!r}"
        limit = self._kept_limit_chars
        raise MessageBodyError(f"{what} in the body is longer than {limit} characters")

    def _string_told(self, text: str | None) -> None:
        if self._entering is not None:
            raise self._no_object()
        if self._member is not None:
            self._found[self._member] = text
            self._member = None

    def _is_in_wanted(self) -> bool:
        """Whether what comes is a member of an object of which some are wanted."""
        depth = 1 if self._parent == _TOP else 2
        return self._parent is not None and len(self._open) == depth

    def _named(self, name: str | None) -> None:
        if name is None:
            return
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
