import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.host.files.trees import NOON, names

from hakoiri.host.files.manifest import (
    Entry,
    Manifest,
    ManifestError,
    encode_manifest,
    is_recovery_point,
    parse_manifest,
    recovery_point_of,
)
from hakoiri.host.files.plan import in_order

SHA = "ab" * 32
FILE = Entry("workspace", b"f", "file", 0o644, 5, size=3, sha256=SHA, ctime_ns=7)
MANIFEST = Manifest(
    workspace_id="ws-1",
    parent="rp-" + "0" * 32,
    generation=2,
    event_number=9,
    session_id="537df189-28c0-4c8c-8c61-8f1b931a6be3",
    created=NOON,
    entries=(FILE,),
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
)


def unique(many: list[Entry]) -> tuple[Entry, ...]:
    return in_order({entry.place: entry for entry in many}.values())


@given(st.lists(entries, max_size=8).map(unique), moments)
def test_what_is_encoded_is_parsed_the_same(many: tuple[Entry, ...], created: datetime) -> None:
    manifest = replace(MANIFEST, entries=many, created=created)

    assert parse_manifest(encode_manifest(manifest)) == manifest


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
    st.sampled_from(["root", "path", "kind", "mode", "mtime_ns", "size", "sha256", "ctime_ns"]),
    json_values,
)
def test_any_value_in_an_entry_is_a_manifest_or_a_manifest_error(field: str, value: Any) -> None:
    document = json.loads(encode_manifest(MANIFEST))
    document["entries"][0][field] = value
    encoded = json.dumps(document, separators=(",", ":"), sort_keys=True).encode() + b"\n"
    try:
        manifest = parse_manifest(encoded)
    except ManifestError:
        return
    assert encode_manifest(manifest) == encoded


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"path": b"../etc/passwd"}, "relative"),
        ({"path": b"/etc/passwd"}, "relative"),
        ({"path": b"a/b"}, "parent"),
        ({"mode": 0o4755}, "mode"),
        ({"mode": -1}, "mode"),
        ({"size": -1}, "size"),
        ({"sha256": "AB" * 32}, "sha256"),
        ({"sha256": "../" * 21 + "a"}, "sha256"),
        ({"ctime_ns": -1}, "ctime_ns"),
        ({"mtime_ns": 2**63}, "mtime_ns"),
        ({"root": "etc"}, "root"),
        ({"kind": "device"}, "kind"),
        ({"kind": "symlink", "target": b""}, "target"),
    ],
)
def test_an_entry_that_could_do_harm_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        encode_manifest(replace(MANIFEST, entries=(replace(FILE, **change),)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"workspace_id": "../x"}, "workspace"),
        ({"parent": "rp-1"}, "parent"),
        ({"generation": 0}, "generation"),
        ({"event_number": -1}, "event_number"),
        ({"session_id": "$(id)"}, "session_id"),
        ({"created": NOON.replace(tzinfo=None)}, "created"),
    ],
)
def test_a_manifest_with_a_bad_field_names_it(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        encode_manifest(replace(MANIFEST, **change))


def test_an_entry_below_a_symlink_is_refused() -> None:
    link = Entry("workspace", b"a", "symlink", 0o777, 0, target=b"/etc")
    with pytest.raises(ManifestError, match="parent"):
        encode_manifest(replace(MANIFEST, entries=(link, replace(FILE, path=b"a/f"))))


def test_the_same_path_twice_is_refused() -> None:
    with pytest.raises(ManifestError, match="twice"):
        encode_manifest(replace(MANIFEST, entries=(FILE, FILE)))


def test_doubled_keys_are_refused() -> None:
    encoded = encode_manifest(MANIFEST).replace(b'"mode":420', b'"mode":511,"mode":420')
    with pytest.raises(ManifestError, match="canonical"):
        parse_manifest(encoded)


def test_deep_json_is_refused() -> None:
    with pytest.raises(ManifestError):
        parse_manifest(b"[" * 100_000)


def test_another_version_is_refused_by_name() -> None:
    encoded = encode_manifest(MANIFEST).replace(b'"version":1', b'"version":2')
    with pytest.raises(ManifestError, match="version: this program reads 1, not 2"):
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
