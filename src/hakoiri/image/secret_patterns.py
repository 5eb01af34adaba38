"""What a secret looks like in a file's bytes: the published forms of keys and tokens. No I/O."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

OVERLAP_BYTES: Final = 4096
UNSURE_BYTES: Final = 2048
"""What ends in the last bytes of what came so far may go on, so it is looked at again with what
comes next. Both are longer than any match."""


@dataclass(frozen=True, slots=True)
class SecretForm:
    """One kind of secret; a chunk without any of the `marks` is not searched."""

    kind: str
    marks: tuple[bytes, ...]
    pattern: re.Pattern[bytes]
    in_settings_only: bool = False
    """Whether other files are full of harmless examples of it."""


FORMS: Final = (
    SecretForm(
        "private key",
        (b"PRIVATE KEY-----",),
        re.compile(
            rb"-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY-----(?:\\n|\\r|\s){1,4}"
            rb"(?:[A-Za-z-]{1,32}: [^\n]{0,200}\s{1,4}){0,4}[A-Za-z0-9+/]{32}"
        ),
    ),
    SecretForm(
        "AWS access key",
        (b"AKIA", b"ASIA"),
        re.compile(
            rb"(?<![A-Za-z0-9+/])(?:AKIA|ASIA)(?![A-Z2-7]*EXAMPLE)[A-Z2-7]{16}(?![A-Za-z0-9+/=])"
        ),
    ),
    SecretForm(
        "Anthropic key", (b"sk-ant-",), re.compile(rb"sk-ant-[a-z0-9]{3,10}-[A-Za-z0-9_-]{32,200}")
    ),
    SecretForm(
        "GitHub token",
        (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_"),
        re.compile(rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,100})"),
    ),
    SecretForm("npm token", (b"npm_",), re.compile(rb"\bnpm_[A-Za-z0-9]{36}\b")),
    SecretForm(
        "Slack token",
        (b"xoxa-", b"xoxb-", b"xoxp-", b"xoxr-", b"xoxs-"),
        re.compile(rb"\bxox[abprs]-[0-9A-Za-z]{8,64}-[0-9A-Za-z-]{8,128}"),
    ),
    SecretForm(
        "Google API key", (b"AIza",), re.compile(rb"\bAIza[0-9A-Za-z_-]{35}(?![0-9A-Za-z_-])")
    ),
    SecretForm(
        "password in an address",
        (b"://",),
        re.compile(
            rb"[a-z+]{2,12}://[^\s/:@'\"<>$]{0,128}:[^\s/:@'\"<>$]{1,128}@[A-Za-z0-9.-]{1,253}"
        ),
        in_settings_only=True,
    ),
    SecretForm(
        "registry login",
        (b"_auth", b"_password"),
        re.compile(
            rb"(?:^|:)_(?:authToken|auth|password)\s{0,4}=\s{0,4}[^\s$]{4,512}", re.MULTILINE
        ),
        in_settings_only=True,
    ),
    SecretForm(
        "password hash",
        (b":$",),
        re.compile(rb"^[a-z_][a-z0-9_-]{0,31}:!?\$[0-9a-z]{1,8}\$[^:\s]{8,256}:", re.MULTILINE),
        in_settings_only=True,
    ),
)
"""Sources: the providers' pages on the forms of their keys, npm's `.npmrc`, crypt(5), RFC 7468."""


@dataclass(frozen=True, slots=True)
class SecretSeen:
    """A secret was seen; `fingerprint` is the SHA-256 of it, in hexadecimal, never the secret."""

    kind: str
    fingerprint: str


def find_secrets(chunks: Iterable[bytes], *, is_settings: bool) -> Iterator[SecretSeen]:
    """Yield each secret in a file that comes in chunks, once, wherever the chunks are cut."""
    seen: set[SecretSeen] = set()
    tail = b""
    for chunk in chunks:
        data = tail + chunk
        yield from _new(data, is_settings=is_settings, end=len(data) - UNSURE_BYTES, seen=seen)
        tail = data[-OVERLAP_BYTES:]
    yield from _new(tail, is_settings=is_settings, end=len(tail), seen=seen)


def _new(
    data: bytes, *, is_settings: bool, end: int, seen: set[SecretSeen]
) -> Iterator[SecretSeen]:
    """Yield what ends before `end` and is not in `seen`, and add it there."""
    for form in FORMS:
        if form.in_settings_only and not is_settings:
            continue
        if not any(mark in data for mark in form.marks):
            continue
        for match in form.pattern.finditer(data):
            found = SecretSeen(form.kind, hashlib.sha256(match[0]).hexdigest())
            if match.end() <= end and found not in seen:
                seen.add(found)
                yield found
