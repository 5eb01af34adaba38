"""A list under another head is what parsing and writing it anew would give."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.host.files.test_manifest_format import (
    FILE,
    MANIFEST,
    VERSION_1,
    entries,
    moments,
    unique,
)

from hakoiri.host.files import manifest_copy
from hakoiri.host.files.manifest import Entry, ManifestError
from hakoiri.host.files.manifest_copy import NewHead, copy_under, respelled
from hakoiri.host.files.manifest_format import encode_manifest, in_limit, parse_manifest

LATER = datetime(2026, 5, 6, 7, 8, 9, 10, tzinfo=UTC)
HEAD = NewHead("fork-1", None, 1, LATER, has_events=True)


heads = st.builds(
    NewHead,
    st.just("fork-1"),
    st.sampled_from([None, "rp-" + "1" * 32]),
    st.integers(1, 2**31),
    moments,
    st.booleans(),
)


@given(st.lists(entries, max_size=8).map(unique), heads)
def test_it_is_what_writing_the_whole_gives(many: tuple[Entry, ...], head: NewHead) -> None:
    manifest = replace(MANIFEST, entries=many)
    copied = copy_under(encode_manifest(manifest), head)
    wanted = replace(
        manifest,
        workspace_id="fork-1",
        parent=head.parent,
        generation=head.generation,
        created=head.created,
        event_number=9 if head.has_events else 0,
    )
    assert copied.encoded == encode_manifest(wanted)
    assert (copied.event_number, copied.session_id) == (wanted.event_number, wanted.session_id)


@given(st.lists(entries, max_size=8).map(unique), st.data())
def test_the_same_entries_under_a_new_head_are_spelled_as_anew(
    many: tuple[Entry, ...], data: st.DataObject
) -> None:
    before = replace(MANIFEST, entries=many)
    after = replace(
        before,
        parent=data.draw(st.sampled_from([None, "rp-" + "1" * 32])),
        generation=data.draw(st.integers(1, 2**31)),
        event_number=data.draw(st.integers(0, 2**63 - 1)),
        session_id=data.draw(st.sampled_from([None, "ab-cd", "0" * 64])),
        created=data.draw(moments),
    )
    assert respelled(encode_manifest(before), after) == encode_manifest(after)


@pytest.mark.parametrize(
    "wrong",
    [
        {"workspace_id": "../x"},
        {"parent": "rp-x"},
        {"generation": 0},
        {"event_number": -1},
        {"session_id": 'x"'},
        {"created": LATER.replace(tzinfo=None)},
    ],
)
def test_a_head_is_checked_also_when_only_it_is_new(wrong: dict[str, Any]) -> None:
    with pytest.raises(ManifestError):
        respelled(encode_manifest(MANIFEST), replace(MANIFEST, **wrong))


def test_a_longer_head_cannot_bring_a_manifest_over_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoded = encode_manifest(MANIFEST)
    monkeypatch.setattr(manifest_copy, "in_limit", partial(in_limit, limit_bytes=len(encoded)))
    assert respelled(encoded, MANIFEST) == encoded
    with pytest.raises(ManifestError, match="over the limit"):
        respelled(encoded, replace(MANIFEST, event_number=1000))


@pytest.mark.parametrize(
    "name",
    [
        b'],"event_number":1,"x":"',
        b'\\"],"event_number":',
        b',"entries":[',
        b'"entries":[]',
        b"\\",
        "箱".encode(),
    ],
)
def test_a_name_cannot_forge_where_the_list_ends(name: bytes) -> None:
    manifest = replace(MANIFEST, entries=(replace(FILE, path=name),))
    copied = copy_under(encode_manifest(manifest), HEAD)
    parsed = parse_manifest(copied.encoded)
    assert parsed.entries == manifest.entries
    assert (parsed.workspace_id, parsed.event_number) == ("fork-1", 9)


def test_one_of_version_1_is_copied_too() -> None:
    original = parse_manifest(VERSION_1.read_bytes())
    copied = copy_under(VERSION_1.read_bytes(), HEAD)
    parsed = parse_manifest(copied.encoded)
    assert parsed == replace(
        original, workspace_id="fork-1", parent=None, generation=1, created=LATER
    )


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"{}",
        b'{"created":"x","entries":[],"event_number":0',
        b'],"event_number":,"entries":[',
        b'[1,"entries":[],"event_number":2]',
        b'{"a":1,"entries":[],"event_number":2,"entries":1}',
    ],
)
def test_what_is_no_manifest_is_not_copied(encoded: bytes) -> None:
    with pytest.raises(ManifestError):
        copy_under(encoded, HEAD)


@pytest.mark.parametrize(
    "head",
    [
        replace(HEAD, workspace_id="../x"),
        replace(HEAD, parent="rp-x"),
        replace(HEAD, generation=0),
        replace(HEAD, created=LATER.replace(tzinfo=None)),
    ],
)
def test_a_head_that_no_reader_would_take_is_not_written(head: NewHead) -> None:
    with pytest.raises(ManifestError):
        copy_under(encode_manifest(MANIFEST), head)
