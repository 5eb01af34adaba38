"""Which images of ours are old, and how they go.

An engine keeps when an image was last given a name (`LastTagTime` in its API), and nothing else of
its use. So each guard gives the images that its own containers are made of their names anew, and
that moment is the mark of their use: what another installation on this engine needs has a mark,
too. An image goes when its mark is older than ours by more than it is kept; the engine's own clock
alone is read. Only names in our repositories are taken away, and never one that a container has:
the engine itself refuses that, for nothing is forced. Bases have the moment they were made, and
what was built on one keeps its layers.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from hakoiri.audit.event import AuditEvent, EventKind
from hakoiri.audit.writer import AuditLog
from hakoiri.docker_guard.engine_client import Engine, unusable_answer
from hakoiri.docker_guard.refusal import CallRefusedError
from hakoiri.docker_guard.rules import Rules
from hakoiri.wire.guard import BASE_REPOSITORY, IMAGE_REPOSITORY, CollectedImages

REPOSITORIES: Final = (IMAGE_REPOSITORY, BASE_REPOSITORY)
TAGS_LIMIT: Final = 1000
"""Names that are looked at in one collection."""

REMOVALS_LIMIT: Final = 20
"""Names that are taken away in one collection; the next one goes on."""

_TAG: Final = re.compile(rf"(?:{'|'.join(REPOSITORIES)}):[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}")

_MOMENT: Final = re.compile(r"([0-9T:-]{19})(?:\.([0-9]{1,9}))?(Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII)

UNMARKED: Final = (
    "the engine does not renew an image's LastTagTime when it is named again, so that nobody can "
    "tell which images are used; remove old ones with `docker image rm`"
)


@dataclass(frozen=True, slots=True)
class TaggedImage:
    """One name of ours, the image it names, and when that image was last named (aware)."""

    tag: str
    image_id: str
    named_at: datetime


def old_tags(
    images: Sequence[TaggedImage], *, own_ids: Collection[str], kept: timedelta
) -> list[str]:
    """Return the names to be taken away, the oldest first; none without a mark of our own."""
    marks = [image.named_at for image in images if image.image_id in own_ids]
    if not marks:
        return []
    before = max(marks) - kept
    old = [one for one in images if one.image_id not in own_ids and one.named_at < before]
    return [one.tag for one in sorted(old, key=lambda one: (one.named_at, one.tag))]


def read_moment(said: object) -> datetime:
    """Read the engine's RFC 3339 moment; its nanoseconds are cut off at microseconds."""
    found = _MOMENT.fullmatch(said) if isinstance(said, str) else None
    if found is None:
        raise unusable_answer()
    seconds, fraction, zone = found.groups()
    try:
        return datetime.fromisoformat(
            f"{seconds}.{fraction or '0':0<6.6}{zone.replace('Z', '+00:00')}"
        )
    except ValueError:
        raise unusable_answer() from None


class ImageCollection:
    """Marks the images in use, and takes away the old ones."""

    def __init__(self, *, engine: Engine, rules: Rules, audit: AuditLog) -> None:
        self._engine = engine
        self._own_ids = frozenset(rules.images.values())
        self._kept = timedelta(days=rules.image_kept_days) if rules.image_kept_days else None
        self._audit = audit

    async def collect(self) -> CollectedImages:
        """Do so once. Raises `CallRefusedError` if the engine fails."""
        earlier = await self._images()
        own = [image for image in earlier if image.image_id in self._own_ids]
        for image in own:
            await self._mark(image)
        images = await self._images()
        marks = {image.image_id: image.named_at for image in images}
        if any(marks.get(image.image_id, image.named_at) <= image.named_at for image in own):
            return CollectedImages(trouble=UNMARKED)
        if self._kept is None:  # the mark is for the others on this engine, who may keep less
            return CollectedImages()
        due = old_tags(images, own_ids=self._own_ids, kept=self._kept)[:REMOVALS_LIMIT]
        return CollectedImages(removed=[tag for tag in due if await self._has_gone(tag)])

    async def _images(self) -> list[TaggedImage]:
        listed = await self._engine.call(
            "GET", "/images/json", query={"filters": json.dumps({"reference": REPOSITORIES})}
        )
        if not isinstance(listed.document, list):
            raise unusable_answer()
        tags = [tag for entry in listed.document for tag in _our_tags(entry)]
        found = [await self._image(tag) for tag in tags[:TAGS_LIMIT]]
        return [image for image in found if image is not None]

    async def _image(self, tag: str) -> TaggedImage | None:
        try:
            shown = (await self._engine.call("GET", f"/images/{tag}/json")).document
        except CallRefusedError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None  # somebody else took it away
            raise
        metadata = shown.get("Metadata") if isinstance(shown, dict) else None
        if not isinstance(metadata, dict):
            raise unusable_answer()
        return TaggedImage(tag, str(shown.get("Id")), read_moment(metadata.get("LastTagTime")))

    async def _mark(self, image: TaggedImage) -> None:
        repository, _, tag = image.tag.partition(":")
        await self._engine.call(
            "POST", f"/images/{image.image_id}/tag", query={"repo": repository, "tag": tag}
        )

    async def _has_gone(self, tag: str) -> bool:
        """Take a name away; its image goes with its last. Whether it went: one in use stays."""
        try:
            await self._engine.call("DELETE", f"/images/{tag}")
        except CallRefusedError as error:
            if error.status in (HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND):
                return False
            raise
        self._audit.tell(AuditEvent(kind=EventKind.IMAGE_REMOVED, details={"image": tag}))
        return True


def _our_tags(entry: Mapping[str, Any]) -> list[str]:
    tags = entry.get("RepoTags") if isinstance(entry, dict) else None
    return [str(tag) for tag in tags or () if _TAG.fullmatch(str(tag))]
