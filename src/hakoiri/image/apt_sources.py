"""The host's apt sources, and which of them are Debian's own and may fill the image.

Formats: sources.list(5), one-line style and deb822 style. Sources of others (with another keyring)
must not leak into the image.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

DEBIAN_KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
_KEYRING_NAME: Final = "debian-archive"


@dataclass(frozen=True, slots=True)
class AptSource:
    """One repository: where, which suite, which components, signed by what."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str

    def is_debian(self, release: str) -> bool:
        """Tell if it is Debian's, of this release.

        An entry that names no keyring counts by its suite; apt will check it against Debian's
        keyring, since `one_line` names that one, and refuse it if it is another's.
        """
        suites = (release, f"{release}-updates", f"{release}-security")
        trusted = _KEYRING_NAME in self.signed_by or not self.signed_by
        return trusted and self.suite in suites and "main" in self.components

    def one_line(self) -> str:
        """Return the entry in one-line style, checked against Debian's keyring."""
        return f"deb [signed-by={DEBIAN_KEYRING}] {self.uri} {self.suite} main"


def debian_sources(files: Mapping[str, str], release: str) -> list[str]:
    """Return one-line entries for Debian's `main` of the release; empty if there are none.

    `files` are the contents of `/etc/apt/sources.list` and of the files in `sources.list.d`, by
    name; those with another ending than `.list` or `.sources` are skipped, as apt does.
    """
    sources = all_sources(files)
    return list(dict.fromkeys(one.one_line() for one in sources if one.is_debian(release)))


def all_sources(files: Mapping[str, str]) -> list[AptSource]:
    """Return every enabled source of binary packages, whoever signs it; `files` as above."""
    found: list[AptSource] = []
    for name, content in sorted(files.items()):
        if name.endswith(".list"):
            found += _parse_one_line(content)
        elif name.endswith(".sources"):
            found += _parse_deb822(content)
    return found


def _parse_one_line(content: str) -> Iterable[AptSource]:
    for line in content.splitlines():
        entry = line.partition("#")[0].strip()
        if not entry.startswith("deb "):
            continue
        options = ""
        rest = entry.removeprefix("deb").strip()
        if rest.startswith("["):
            options, _, rest = rest[1:].partition("]")
        signed_by = next(
            (word.partition("=")[2] for word in options.split() if word.startswith("signed-by=")),
            "",
        )
        uri, _, remainder = rest.strip().partition(" ")
        words = remainder.split()
        if uri and words:
            yield AptSource(uri, words[0], tuple(words[1:]), signed_by)


def _parse_deb822(content: str) -> Iterable[AptSource]:
    for stanza in _stanzas(content):
        if stanza.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        if "deb" not in stanza.get("types", "").split():
            continue
        components = tuple(stanza.get("components", "").split())
        for uri in stanza.get("uris", "").split():
            for suite in stanza.get("suites", "").split():
                yield AptSource(uri, suite, components, stanza.get("signed-by", ""))


def _stanzas(content: str) -> Iterable[dict[str, str]]:
    fields: dict[str, str] = {}
    last = ""
    for line in content.splitlines():
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, last = {}, ""
        elif line[0] in " \t" and last:
            fields[last] += " " + line.strip()
        else:
            name, _, value = line.partition(":")
            last = name.strip().lower()
            fields[last] = value.strip()
    if fields:
        yield fields
