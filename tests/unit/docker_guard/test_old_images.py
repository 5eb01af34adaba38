from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.docker_guard.bodies import IMAGE_ID, RULES

from hakoiri.audit.event import EventKind
from hakoiri.audit.testing import MemoryAudit
from hakoiri.docker_guard.engine_client import EngineAnswer
from hakoiri.docker_guard.old_images import (
    REMOVALS_LIMIT,
    UNMARKED,
    ImageCollection,
    TaggedImage,
    old_tags,
    read_moment,
)
from hakoiri.docker_guard.refusal import CallRefusedError
from hakoiri.wire.guard import CollectedImages

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
OWN, OTHER = "hakoiri/workspace:own", "hakoiri/workspace:other"

images = st.builds(
    TaggedImage,
    tag=st.sampled_from([f"hakoiri/workspace:{letter}" for letter in "abcdefgh"]),
    image_id=st.sampled_from(["own", "x", "y", "z"]),
    named_at=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)


@given(st.lists(images), st.timedeltas(timedelta(0), timedelta(days=4000)))
def test_only_what_is_not_ours_and_older_than_our_mark_goes(
    listed: list[TaggedImage], kept: timedelta
) -> None:
    going = old_tags(listed, own_ids={"own"}, kept=kept)
    marks = [one.named_at for one in listed if one.image_id == "own"]
    expected = [
        one
        for one in listed
        if marks and one.image_id != "own" and max(marks) - one.named_at > kept
    ]
    assert sorted(going) == sorted(one.tag for one in expected)


def test_the_oldest_go_first() -> None:
    listed = [
        TaggedImage(OWN, "own", NOW),
        *(TaggedImage(f"t{days}", "x", NOW - days * DAY) for days in (31, 29, 33, 30, 32)),
    ]
    assert old_tags(listed, own_ids={"own"}, kept=30 * DAY) == ["t33", "t32", "t31"]


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("2026-11-28T00:21:51.74342711Z", datetime(2026, 11, 28, 0, 21, 51, 743427, UTC)),
        ("2026-11-28T01:21:51+01:00", datetime(2026, 11, 28, 0, 21, 51, 0, UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_the_engines_moments_are_read(said: str, read: datetime) -> None:
    assert read_moment(said) == read


@pytest.mark.parametrize(
    "said", [None, 7, "", "yesterday", "2026-11-28T00:21:51", "2026-13-28T00:21:51Z"]
)
def test_anything_else_is_no_moment(said: object) -> None:
    with pytest.raises(CallRefusedError) as refused:
        read_moment(said)
    assert refused.value.code == "engine-answer"


@dataclass
class ImageStore:
    """An engine that has images: name, id, when it was last named."""

    tags: dict[str, tuple[str, datetime]]
    used: set[str] = field(default_factory=set)
    keeps_marks: bool = True
    foreign: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
    ) -> EngineAnswer:
        del body
        self.asked.append((method, path))
        if path == "/images/json":
            return EngineAnswer(200, self._listed())
        if method == "POST" and query is not None:
            return self._name(f"{query['repo']}:{query['tag']}")
        tag = path.removeprefix("/images/").removesuffix("/json")
        if tag not in self.tags:
            raise CallRefusedError("engine-refused", "No such image", status=404)
        if method == "GET":
            image_id, named_at = self.tags[tag]
            shown = {"Id": image_id, "Metadata": {"LastTagTime": named_at.isoformat()}}
            return EngineAnswer(200, shown)
        if tag in self.used:
            raise CallRefusedError("engine-refused", "conflict: it is in use", status=409)
        del self.tags[tag]
        return EngineAnswer(200, [{"Untagged": tag}])

    def _listed(self) -> list[dict[str, Any]]:
        return [
            {"Id": image_id, "RepoTags": [tag, *filter(None, [self.foreign.get(tag)])]}
            for tag, (image_id, _) in self.tags.items()
            if tag not in self.foreign.values()
        ] + [{"Id": "dangling", "RepoTags": None}]

    def _name(self, tag: str) -> EngineAnswer:
        if self.keeps_marks:
            self.tags[tag] = (self.tags[tag][0], NOW)
        return EngineAnswer(201, None)


def collection(
    store: ImageStore, *, days: float = 30, audit: MemoryAudit | None = None
) -> ImageCollection:
    rules = RULES.model_copy(update={"image_kept_days": days})
    return ImageCollection(engine=store, rules=rules, audit=audit or MemoryAudit())


async def test_our_image_is_marked_and_what_nobody_marked_goes() -> None:
    store = ImageStore(
        {
            OWN: (IMAGE_ID, NOW - 90 * DAY),
            OTHER: ("sha256:other", NOW - 10 * DAY),
            "hakoiri/workspace:old": ("sha256:old", NOW - 31 * DAY),
            "hakoiri/base:old": ("sha256:base", NOW - 40 * DAY),
        }
    )
    audit = MemoryAudit()
    collected = await collection(store, audit=audit).collect()
    assert collected == CollectedImages(removed=["hakoiri/base:old", "hakoiri/workspace:old"])
    assert store.tags == {OWN: (IMAGE_ID, NOW), OTHER: ("sha256:other", NOW - 10 * DAY)}
    assert [(one.kind, one.details["image"]) for one in audit.events] == [
        (EventKind.IMAGE_REMOVED, "hakoiri/base:old"),
        (EventKind.IMAGE_REMOVED, "hakoiri/workspace:old"),
    ]


async def test_a_name_that_is_not_of_ours_is_never_taken_away() -> None:
    old = ("sha256:old", NOW - 99 * DAY)
    store = ImageStore(
        {OWN: (IMAGE_ID, NOW - DAY), "hakoiri/workspace:old": old, "somebody/else:theirs": old},
        foreign={"hakoiri/workspace:old": "somebody/else:theirs"},
    )
    await collection(store).collect()
    assert [path for method, path in store.asked if method == "DELETE"] == [
        "/images/hakoiri/workspace:old"
    ]


async def test_what_a_container_has_stays() -> None:
    store = ImageStore(
        {OWN: (IMAGE_ID, NOW - DAY), OTHER: ("sha256:other", NOW - 99 * DAY)}, used={OTHER}
    )
    audit = MemoryAudit()
    assert await collection(store, audit=audit).collect() == CollectedImages()
    assert OTHER in store.tags
    assert audit.events == []


async def test_nothing_goes_where_the_engine_keeps_no_marks() -> None:
    store = ImageStore(
        {OWN: (IMAGE_ID, NOW - DAY), OTHER: ("sha256:other", NOW - 99 * DAY)}, keeps_marks=False
    )
    assert await collection(store).collect() == CollectedImages(trouble=UNMARKED)
    assert OTHER in store.tags


async def test_nothing_goes_where_our_image_has_no_name_of_ours() -> None:
    store = ImageStore({OTHER: ("sha256:other", NOW - 99 * DAY)})
    assert await collection(store).collect() == CollectedImages()


async def test_who_keeps_all_marks_his_own_for_those_who_do_not() -> None:
    store = ImageStore({OWN: (IMAGE_ID, NOW - 90 * DAY), OTHER: ("sha256:other", NOW - 9999 * DAY)})
    assert await collection(store, days=0).collect() == CollectedImages()
    assert store.tags[OWN] == (IMAGE_ID, NOW)
    assert OTHER in store.tags


async def test_so_many_go_at_once() -> None:
    old = {
        f"hakoiri/workspace:o{number}": (f"sha256:{number}", NOW - 99 * DAY) for number in range(50)
    }
    store = ImageStore({OWN: (IMAGE_ID, NOW - DAY)} | old)
    assert len((await collection(store).collect()).removed) == REMOVALS_LIMIT


async def test_an_engine_that_fails_is_told_of() -> None:
    class Failing(ImageStore):
        async def call(self, method: str, path: str, **rest: Any) -> EngineAnswer:
            if method == "DELETE":
                raise CallRefusedError("engine-refused", "no space", status=500)
            return await super().call(method, path, **rest)

    store = Failing({OWN: (IMAGE_ID, NOW - DAY), OTHER: ("sha256:other", NOW - 99 * DAY)})
    with pytest.raises(CallRefusedError):
        await collection(store).collect()
