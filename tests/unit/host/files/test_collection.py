from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.files.collection import (
    CollectionRules,
    Listed,
    Verdict,
    blobs_of,
    is_expired,
    is_tenant,
    judge,
    live_bytes_of,
)
from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.packs import Pack, Part

NOW = datetime(2026, 1, 2, tzinfo=UTC)
GRACE = timedelta(hours=24)
RULES = CollectionRules(grace=GRACE, archive_age=timedelta(days=30))
KEY = f"tenants/acme/packs/ab/ab{'0' * 62}"
SECOND = timedelta(seconds=1)


def listed(age: timedelta, key: str = KEY) -> Listed:
    return Listed(key, 10, NOW - age)


def verdict(
    age: timedelta, *, needed: bool = False, condemned: timedelta | None = None, key: str = KEY
) -> Verdict:
    at = None if condemned is None else NOW - condemned
    return judge(listed(age, key), is_needed=needed, condemned_at=at, now=NOW, rules=RULES)


@pytest.mark.parametrize(
    ("age", "needed", "condemned", "told"),
    [
        (GRACE, False, None, Verdict.CONDEMN),
        (GRACE - SECOND, False, None, Verdict.YOUNG),
        (-GRACE, False, None, Verdict.YOUNG),
        (9 * GRACE, True, None, Verdict.LIVE),
        (9 * GRACE, True, 2 * GRACE, Verdict.ABSOLVE),
        (9 * GRACE, False, GRACE - SECOND, Verdict.WAITING),
        (9 * GRACE, False, GRACE, Verdict.DUE),
        (SECOND, False, 2 * GRACE, Verdict.ABSOLVE),
        (9 * GRACE, False, -GRACE, Verdict.WAITING),
    ],
)
def test_what_nothing_names_goes_after_a_grace_twice(
    age: timedelta, *, needed: bool, condemned: timedelta | None, told: Verdict
) -> None:
    assert verdict(age, needed=needed, condemned=condemned) is told


@pytest.mark.parametrize(
    "key",
    [
        "check/writable",
        "archive/" + KEY,
        KEY.replace("packs", "notes"),
        KEY[:-1],
        KEY + "#1",
        "tenants/acme/workspaces/w-1/manifests/other.json.zst",
        "tenants/acme/workspaces/w-1/manifests/rp-" + "0" * 32 + ".json.zst.bak",
        "tenants/ACME/packs/ab/ab" + "0" * 62,
    ],
)
def test_what_this_program_did_not_write_is_left_alone(key: str) -> None:
    assert verdict(99 * GRACE, condemned=9 * GRACE, key=key) is Verdict.FOREIGN


@pytest.mark.parametrize("ending", ["json", "json.zst"])
def test_manifests_go_like_packs(ending: str) -> None:
    key = f"tenants/acme/workspaces/w-1/manifests/rp-{'0' * 32}.{ending}"
    assert verdict(GRACE, key=key) is Verdict.CONDEMN


spans = st.timedeltas(min_value=-timedelta(days=9), max_value=timedelta(days=99))


@given(age=spans, needed=st.booleans(), condemned=st.none() | spans)
def test_nothing_goes_that_is_needed_or_young_or_was_not_condemned_for_long(
    *, age: timedelta, needed: bool, condemned: timedelta | None
) -> None:
    if verdict(age, needed=needed, condemned=condemned) is Verdict.DUE:
        assert not needed
        assert age >= GRACE
        assert condemned is not None
        assert condemned >= GRACE


def test_the_archive_is_emptied_by_age_but_for_what_is_needed() -> None:
    archived = listed(timedelta(days=30), "archive/" + KEY)
    young = listed(timedelta(days=30) - SECOND, "archive/" + KEY)
    assert is_expired(archived, is_needed=False, now=NOW, rules=RULES)
    assert not is_expired(archived, is_needed=True, now=NOW, rules=RULES)
    assert not is_expired(young, is_needed=False, now=NOW, rules=RULES)
    forever = CollectionRules(grace=GRACE, archive_age=None)
    assert not is_expired(archived, is_needed=False, now=NOW, rules=forever)
    for key in (KEY, "archive/x", "archive/archive/" + KEY):
        old = listed(timedelta(days=99), key)
        assert not is_expired(old, is_needed=False, now=NOW, rules=RULES)


@pytest.mark.parametrize(
    ("name", "is_one"), [("acme", True), ("a-1", True), ("-a", False), ("..", False), ("", False)]
)
def test_a_folder_is_a_tenants_if_it_has_the_form(name: str, *, is_one: bool) -> None:
    assert is_tenant(name) is is_one


def test_each_piece_counts_once_and_blobs_are_told_apart() -> None:
    pack = Pack("a" * 64, "none", 100, 100)
    piece, other = Part(pack, 0, 30, "b" * 64), Part(pack, 30, 10, "c" * 64)

    def file(name: bytes, size: int, parts: tuple[Part, ...] | None) -> Entry:
        return Entry("workspace", name, "file", 0o644, 0, size=size, sha256="d" * 64, parts=parts)

    folder = Entry("workspace", b"f", "directory", 0o755, 0)
    entries = [
        file(b"1", 30, (piece,)),
        file(b"2", 40, (piece, other)),
        file(b"3", 0, ()),
        file(b"4", 5, None),
        folder,
    ]
    assert live_bytes_of(entries) == {pack: 40}
    assert blobs_of(entries) == {"d" * 64}
