"""What must not be in any layer of an image: secrets, and rights that a user could gain by."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Literal

from hakoiri.image.saved_image import ImageEntry, Readable
from hakoiri.image.secret_patterns import find_secrets

CHUNK_BYTES: Final = 1024 * 1024
_SET_ID: Final = 0o6000
_OTHERS_WRITE: Final = 0o002
_STICKY: Final = 0o1000

_SETTINGS_PLACES: Final = ("etc/", "root/", "home/")
_SETTINGS_NAMES: Final = frozenset({".npmrc", ".netrc", "pip.conf", ".pypirc", ".git-credentials"})
_LOGIN_NAMES: Final = frozenset(
    {".netrc", ".git-credentials", ".pypirc", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"}
)
_LOGIN_PATHS: Final = (
    ".aws/credentials", ".docker/config.json", ".config/gh/hosts.yml", "etc/apt/auth.conf",
    ".claude/.credentials.json",
)  # fmt: skip

Rule = Literal["secret", "login file", "set-id", "capabilities", "writable by all"]


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something that must not be there. `detail` never holds a secret."""

    rule: Rule
    path: str
    layer: str
    detail: str
    fingerprint: str = ""


KNOWN_HARMLESS: Final = frozenset({
    # keys with which libgnutls tests itself; they are in its source (lib/crypto-selftests-pk.c)
    "44ae6697029e164bb2806e1e6451191c842135a19c0b6c8cfafcfd381c7bf6bd",
    "bfc3a3f38b8fc38418c7134de56ac4c0817fadcd780d1e44259a21b5f77d1562",
    "8f44247507bf319ea32fe99e20ef0e51a29728f687d39ed5031b86f81bc97c5b",
    "30baf071efd07da5161c8e210f8c277a17222a8bdd24675284904d061b337862",
    "1dbd7ca4219e8deef2478cde99de95c38b604a092ca2ccf4d9ce88e4836ce283",
    "6c928c7c99db09403dabacd8858575de4cedc2d93e5e35c5cb38c335e470405d",
})  # fmt: skip
"""Fingerprints of what looks like a secret, and was published to be none."""


def scan_layers(
    entries: Iterable[ImageEntry], *, harmless: Collection[str] = KNOWN_HARMLESS
) -> Iterator[Finding]:
    """Yield what is wrong with the entries, whichever layer holds them and whatever hides them."""
    for entry in entries:
        yield from _rights(entry)
        if entry.content is None:
            continue
        head = entry.content.read(CHUNK_BYTES)
        if head and entry.kind == "file" and _is_login_file(entry.path):
            yield Finding("login file", entry.path, entry.layer, "a file that holds logins")
        is_settings = entry.kind == "about" or _is_settings(entry.path)
        for secret in find_secrets(_chunks(head, entry.content), is_settings=is_settings):
            if secret.fingerprint not in harmless:
                yield Finding("secret", entry.path, entry.layer, secret.kind, secret.fingerprint)


def _rights(entry: ImageEntry) -> Iterator[Finding]:
    if entry.kind not in ("file", "directory"):
        return
    mode = f"mode {entry.mode:04o}"
    if entry.mode & _SET_ID and entry.kind == "file":
        yield Finding("set-id", entry.path, entry.layer, mode)
    if entry.has_capabilities:
        yield Finding("capabilities", entry.path, entry.layer, "has capabilities of its own")
    is_shared = entry.kind == "directory" and entry.mode & _STICKY
    if entry.mode & _OTHERS_WRITE and not is_shared:
        yield Finding("writable by all", entry.path, entry.layer, mode)


def _is_settings(path: str) -> bool:
    return path.startswith(_SETTINGS_PLACES) or PurePosixPath(path).name in _SETTINGS_NAMES


def _is_login_file(path: str) -> bool:
    return PurePosixPath(path).name in _LOGIN_NAMES or path.endswith(_LOGIN_PATHS)


def _chunks(head: bytes, content: Readable) -> Iterator[bytes]:
    chunk = head
    while chunk:
        yield chunk
        chunk = content.read(CHUNK_BYTES)
