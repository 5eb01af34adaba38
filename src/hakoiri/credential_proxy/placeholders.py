"""Placeholders: what a container writes where a secret belongs, `hakoiri-secret-NAME`.

They are replaced in the values of headers, in the user name and password of `Basic`, and in the
values of query parameters, towards the hosts that the policy's rule names them for. Anywhere else
in a head one is refused: it is a mistake or a probe. Bodies are not looked at: there a placeholder
is worth nothing to anybody.
"""

import base64
import binascii
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final
from urllib.parse import quote, unquote

from hakoiri.credential_proxy.decision import RefusedError
from hakoiri.credential_proxy.framing import Headers, RequestHead

PREFIX: Final = "hakoiri-secret-"
_TOKEN: Final = re.compile(PREFIX + r"([a-z0-9][a-z0-9-]{0,62})?")
_BASIC: Final = "basic "
_BASIC_HEADERS: Final = frozenset({"authorization", "proxy-authorization"})


def check_placeholders(head: RequestHead, *, allowed: Collection[str]) -> None:
    """Check that every placeholder in `head` is one of `allowed`, at a place where it is replaced.

    Raises:
        RefusedError: one is not; the reason names it.
    """
    found: set[str] = set()
    target = unquote(head.target)
    if PREFIX in target:
        path, _, query = head.target.partition("?")
        if PREFIX in unquote(path):
            raise _refused("in a path", list(_names_in(unquote(path))))
        found.update(_names_of_query(query))
    for name, value in head.headers:
        if PREFIX in name:
            raise _refused("as a header's name", [])
        if PREFIX in value or name in _BASIC_HEADERS:
            found.update(_names_of(name, value))
    strays = found.difference(allowed)
    if strays:
        raise _refused("towards this host", sorted(strays))


def has_placeholder(name: str, value: str) -> bool:
    """Whether the header `name` (lower case) holds a placeholder where it is replaced."""
    return PREFIX in value or PREFIX in (_basic_pair(name, value) or "")


def names_replaced(headers: Headers, query: str) -> tuple[str, ...]:
    """Return the names of the placeholders that `check_placeholders` found in their places."""
    found = set(_names_of_query(query)) if PREFIX in unquote(query) else set()
    for name, value in headers:
        found.update(_names_of(name, value))
    return tuple(sorted(found))


def replace_placeholders(
    headers: Headers, query: str, *, secrets: Mapping[str, str]
) -> tuple[Headers, str]:
    """Return headers and query with the secrets in place; `secrets` holds one for each name."""
    replaced = tuple([(name, _in_header(name, value, secrets)) for name, value in headers])
    if PREFIX not in unquote(query):
        return replaced, query
    pairs = []
    for pair in query.split("&"):
        key, equals, value = pair.partition("=")
        plain = unquote(value)
        if PREFIX in plain:
            value = quote(_replace(plain, secrets), safe="")
        pairs.append(key + equals + value)
    return replaced, "&".join(pairs)


def _names_of_query(query: str) -> Iterator[str]:
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        if PREFIX in unquote(key):
            raise _refused("as a parameter's name", [])
        yield from _names_in(unquote(value))


def _names_of(name: str, value: str) -> Iterator[str]:
    if PREFIX in value:
        yield from _names_in(value)
    pair = _basic_pair(name, value)
    if pair is not None:
        yield from _names_in(pair)


def _names_in(text: str) -> Iterator[str]:
    for token in _TOKEN.finditer(text):
        yield token[1] or ""


def _in_header(name: str, value: str, secrets: Mapping[str, str]) -> str:
    pair = _basic_pair(name, value)
    if pair is not None and PREFIX in pair:
        coded = base64.b64encode(_replace(pair, secrets).encode("latin-1")).decode("ascii")
        return value[: len(_BASIC)] + coded
    return _replace(value, secrets) if PREFIX in value else value


def _basic_pair(name: str, value: str) -> str | None:
    """Return user name and password of a `Basic` value (RFC 7617)."""
    if name not in _BASIC_HEADERS or not value.lower().startswith(_BASIC):
        return None
    try:
        return base64.b64decode(value[len(_BASIC) :].strip(), validate=True).decode("latin-1")
    except (binascii.Error, ValueError):
        return None


def _replace(text: str, secrets: Mapping[str, str]) -> str:
    return _TOKEN.sub(lambda token: secrets.get(token[1] or "", token[0]), text)


def _refused(where: str, names: Collection[str]) -> RefusedError:
    told = ", ".join(PREFIX + name for name in list(names)[:5])
    reason = f"a placeholder is not replaced {where}: {told}".rstrip(": ")
    return RefusedError(403, "placeholder-not-allowed", reason)
