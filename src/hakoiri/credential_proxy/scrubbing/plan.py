"""How an answer is scrubbed: what its headers say decides."""

from dataclasses import dataclass
from typing import Final

from hakoiri.credential_proxy.errors import UpstreamError
from hakoiri.credential_proxy.framing import Headers
from hakoiri.credential_proxy.scrubbing.codings import READABLE
from hakoiri.credential_proxy.scrubbing.scrubber import SecretPatterns, scrub_headers

_OF_THE_CODED_BODY: Final = frozenset(
    {"content-encoding", "content-length", "content-md5", "content-digest", "digest", "etag",
     "accept-ranges"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ScrubbingPlan:
    """Headers to send; `coding` names what the body must be decoded from, if anything."""

    headers: Headers
    found: int
    coding: str | None = None


def plan_scrubbing(headers: Headers, patterns: SecretPatterns) -> ScrubbingPlan:
    """Plan the answer whose headers these are; a decoded body is passed on decoded.

    Raises:
        UpstreamError: the body comes in a coding that cannot be read, and so not be scrubbed.
    """
    clean, found = scrub_headers(headers, patterns)
    codings = [
        coding.strip().lower()
        for name, value in headers
        if name.lower() == "content-encoding"
        for coding in value.split(",")
    ]
    codings = [coding for coding in codings if coding not in ("", "identity")]
    if not codings:
        return ScrubbingPlan(clean, found)
    if len(codings) > 1 or codings[0] not in READABLE:
        raise UpstreamError(
            "unreadable-coding", "the answer is compressed in a way that was not asked for"
        )
    kept = tuple((n, v) for n, v in clean if n.lower() not in _OF_THE_CODED_BODY)
    return ScrubbingPlan(kept, found, codings[0])
