import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.host.files.trees import NOON, names

from hakoiri.host.files.manifest import (
    Entry,
    Manifest,
    ManifestError,
    is_recovery_point,
    recovery_point_of,
)
from hakoiri.host.files.manifest_format import encode_manifest, parse_manifest
from hakoiri.host.files.packs import Pack, Part
from hakoiri.host.files.plan import in_order

SHA = "ab" * 32
VERSION_1 = Path(__file__).with_name("version_1.json")
VERSION_1_ID = "465176ec0c2b12fa5a6cb79f5a2fa690"
PACKS = [Pack(digit * 64, coding, 100, 90) for digit, coding in (("a", "none"), ("b", "zstd"))]  # type: ignore[arg-type]
FILE = Entry("workspace", b"f", "file", 0o644, 5, size=3, sha256=SHA, ctime_ns=7)
PACKED = replace(FILE, path=b"g", parts=(Part(PACKS[0], 97, 3, SHA),))
PIECES = (Part(PACKS[1], 0, 60, "01" * 32), Part(PACKS[0], 7, 40, "02" * 32))
LARGE = replace(FILE, path=b"h", size=100, parts=PIECES)
MANIFEST = Manifest(
    workspace_id="ws-1",
    parent="rp-" + "0" * 32,
    generation=2,
    event_number=9,
    session_id="537df189-28c0-4c8c-8c61-8f1b931a6be3",
    created=NOON,
    entries=(FILE, PACKED, LARGE),
)
roots = st.sampled_from(["workspace", "home"])
modes = st.integers(0, 0o777)
int64 = st.integers(-(2**63), 2**63 - 1)
sizes = st.integers(0, 2**63 - 1)
moments = st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
entries = (
    st.builds(Entry, roots, names, st.just("directory"), modes, int64)
    | st.builds(Entry, roots, names, st.just("symlink"), modes, int64, target=names)
    | st.builds(
        Entry,
        roots,
        names,
        st.just("file"),
        modes,
        int64,
        size=sizes,
        sha256=st.just(SHA),
        ctime_ns=sizes,
    )
    | st.builds(
        lambda root, path, pack, offset, size: replace(
            FILE,
            root=root,
            path=path,
            size=size,
            parts=(Part(pack, offset, size, SHA),) if size else (),
        ),
        roots,
        names,
        st.sampled_from(PACKS),
        st.integers(0, 50),
        st.integers(0, 50),
    )
    | st.builds(lambda root, path: replace(LARGE, root=root, path=path), roots, names)
)


def unique(many: list[Entry]) -> tuple[Entry, ...]:
    return in_order({entry.place: entry for entry in many}.values())


@given(st.lists(entries, max_size=8).map(unique), moments)
def test_what_is_encoded_is_parsed_the_same(many: tuple[Entry, ...], created: datetime) -> None:
    manifest = replace(MANIFEST, entries=many, created=created)

    assert parse_manifest(encode_manifest(manifest)) == manifest


@given(st.lists(entries, max_size=8).map(unique), st.sampled_from([None, "ab-cd"]))
def test_the_form_is_that_of_json_with_sorted_keys(
    many: tuple[Entry, ...], session_id: str | None
) -> None:
    encoded = encode_manifest(replace(MANIFEST, entries=many, session_id=session_id))
    document = json.loads(encoded)
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    assert encoded == text.encode() + b"\n"


@given(st.binary(max_size=300))
def test_any_bytes_are_a_manifest_or_a_manifest_error(encoded: bytes) -> None:
    with pytest.raises(ManifestError):
        parse_manifest(encoded)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


@given(st.sampled_from(sorted(json.loads(encode_manifest(MANIFEST)))), json_values)
def test_any_value_in_any_field_is_a_manifest_or_a_manifest_error(field: str, value: Any) -> None:
    document = json.loads(encode_manifest(MANIFEST)) | {field: value}
    encoded = json.dumps(document, separators=(",", ":"), sort_keys=True).encode() + b"\n"
    try:
        manifest = parse_manifest(encoded)
    except ManifestError:
        return
    assert encode_manifest(manifest) == encoded


@given(
    st.sampled_from(
        ["root", "path", "kind", "mode", "mtime_ns", "size", "sha256", "ctime_ns", "parts"]
    ),
    st.integers(0, 2),
    json_values,
)
def test_any_value_in_an_entry_is_a_manifest_or_a_manifest_error(
    field: str, number: int, value: Any
) -> None:
    document = json.loads(encode_manifest(MANIFEST))
    document["entries"][number][field] = value
    encoded = json.dumps(document, separators=(",", ":"), sort_keys=True).encode() + b"\n"
    try:
        manifest = parse_manifest(encoded)
    except ManifestError:
        return
    assert encode_manifest(manifest) == encoded


def test_doubled_keys_are_refused() -> None:
    encoded = encode_manifest(MANIFEST).replace(b'"mode":420', b'"mode":511,"mode":420', 1)
    with pytest.raises(ManifestError, match="canonical"):
        parse_manifest(encoded)


def test_deep_json_is_refused() -> None:
    with pytest.raises(ManifestError):
        parse_manifest(b"[" * 100_000)


@pytest.mark.parametrize("version", ["3", "0", "true", '"2"', "null", "[]"])
def test_another_version_is_refused_by_name(version: str) -> None:
    encoded = encode_manifest(MANIFEST).replace(b'"version":2', b'"version":' + version.encode())
    with pytest.raises(ManifestError, match="version: this program reads 1 and 2, not"):
        parse_manifest(encoded)


def test_a_manifest_that_version_1_wrote_is_read() -> None:
    encoded = VERSION_1.read_bytes()
    manifest = parse_manifest(encoded)
    assert recovery_point_of(encoded) == "rp-" + VERSION_1_ID
    assert (manifest.event_number, manifest.session_id) == (7, "ab-cd")
    files = [entry for entry in manifest.entries if entry.kind == "file"]
    assert [entry.path for entry in files] == [
        b".claude/projects/s.jsonl",
        b"d/100%.txt",
        b"empty",
        b"large",
        b"small",
    ]
    assert {entry.parts for entry in files} == {None}
    # and nothing of it is lost in version 2
    assert parse_manifest(encode_manifest(manifest)) == manifest


def test_version_1_has_no_packs() -> None:
    document = json.loads(VERSION_1.read_bytes())
    changes: tuple[dict[str, Any], ...] = (
        {"packs": []},
        {"entries": [dict(document["entries"][2], parts=[])]},
    )
    for change in changes:
        with pytest.raises(ManifestError, match=r"fields|version 1 has none"):
            parse_manifest(json.dumps(document | change).encode())


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("[[0,97]]", "[[2,97]]", "a pack that is not there"),
        ("[[0,97]]", "[[-1,97]]", "a pack that is not there"),
        ("[[0,97]]", "[[0,98]]", "outside of its pack"),
        ("[[0,97]]", "[[0,-1]]", "outside of its pack"),
        ("[[0,97]]", "[[0,97,3]]", "neither two fields"),
        ("[[0,97]]", f'[[0,97,3,"{SHA}"]]', "neither two fields"),
        ("[[0,97]]", "[]", "not as long as the file"),
        ("[[0,97]]", "[[false,97]]", "not a whole number"),
        ('"none",100,90', '"gzip",100,90', "coding"),
        ('"none",100,90', '"none",100,0', "stored size"),
        ('"none",100,90', '"none",99999999,90', "size out of range"),
        ('"none",100,90', '"none",true,90', "fields of a pack"),
        ('"none",100,90', '"none",100', "fields of a pack"),
        ("[1,0,60,", "[1,0,61,", "not as long as the file"),
        ("[1,0,60,", "[1,0,0,", "outside of its pack"),
    ],
)
def test_parts_that_are_not_the_file_are_refused(before: str, after: str, said: str) -> None:
    encoded = encode_manifest(MANIFEST).decode()
    assert encoded.count(before) == 1
    with pytest.raises(ManifestError, match=said):
        parse_manifest(encoded.replace(before, after).encode())


def test_a_pack_that_no_file_lies_in_is_refused() -> None:
    document = json.loads(encode_manifest(MANIFEST))
    document["packs"].append(["f" * 64, "none", 1, 1])
    encoded = json.dumps(document, separators=(",", ":"), sort_keys=True).encode() + b"\n"
    with pytest.raises(ManifestError, match="canonical"):
        parse_manifest(encoded)


def test_the_limit_holds_both_ways() -> None:
    encoded = encode_manifest(MANIFEST)
    size = len(encoded)
    assert encode_manifest(MANIFEST, limit_bytes=size) == encoded
    with pytest.raises(ManifestError, match="limit"):
        encode_manifest(MANIFEST, limit_bytes=size - 1)
    with pytest.raises(ManifestError, match="limit"):
        parse_manifest(encoded, limit_bytes=size - 1)


def test_the_id_is_the_hash_of_the_bytes() -> None:
    encoded = encode_manifest(MANIFEST)
    recovery_point = recovery_point_of(encoded)
    assert is_recovery_point(recovery_point)
    assert recovery_point != recovery_point_of(encoded + b"\n")
