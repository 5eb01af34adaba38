"""The rules that a bucket is given, against what a store holds."""

import copy
import json
import os
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.lifecycle_rules import UnknownRuleError, fate_of_object, is_upload_aborted
from tests.unit.host.files.trees import NOON, file_sync, make_live_tree

from hakoiri.host.files.collection import ARCHIVE_PREFIX
from hakoiri.host.files.testing import MemoryHeads, MemoryObjectStore

pytestmark = pytest.mark.anyio

DIRECTORY = Path(__file__).parents[3] / "deployment/s3"
POLICY = json.loads((DIRECTORY / "lifecycle-policy.json").read_text())
SCRIPT = DIRECTORY / "apply-lifecycle.sh"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_an_old_blob_that_a_new_head_uses_is_never_touched(tmp_path: Path) -> None:
    tree = make_live_tree(tmp_path / "live")
    store, heads = MemoryObjectStore(lambda: NOON - timedelta(days=4000)), MemoryHeads()
    sync = file_sync(store, heads)

    async def save(number: int) -> None:
        await sync.save(
            tenant="acme",
            workspace_id="ws",
            generation=1,
            event_number=number,
            tree=tree,
            session_id=None,
        )

    (tree.workspace / "large").write_bytes(os.urandom(200_000))
    await save(1)
    (old_pack,) = (key for key in store.objects if "/packs/" in key)
    store._clock = lambda: NOON
    (tree.workspace / "new").write_bytes(b"new")
    await save(2)
    manifest = await sync.manifest(tenant="acme", workspace_id="ws")
    assert manifest is not None
    used = {part.pack.id for entry in manifest.entries for part in entry.parts or ()}
    assert old_pack.rpartition("/")[2] in used
    for key in store.objects:
        age = (NOON - store.modified[key]).days
        assert fate_of_object(POLICY, key, age_days=age) == "kept"


@given(
    key=st.sampled_from(["tenants/acme/packs/", "tenants/archive/blobs/", "check/", "tenants/"])
    | st.text(min_size=1).filter(lambda text: not text.startswith(ARCHIVE_PREFIX)),
    age_days=st.floats(0, 100_000),
)
def test_no_age_touches_what_is_not_in_the_archive(key: str, age_days: float) -> None:
    assert fate_of_object(POLICY, key, age_days=age_days) == "kept"


@pytest.mark.parametrize(
    ("age_days", "fate"),
    [
        (0.5, "kept"),
        (1, "GLACIER_IR"),
        (90, "GLACIER_IR"),
        (91, "DEEP_ARCHIVE"),
        (364, "DEEP_ARCHIVE"),
        (365, "deleted"),
    ],
)
def test_the_archive_goes_to_glacier_and_then_away(age_days: float, fate: str) -> None:
    assert fate_of_object(POLICY, "archive/tenants/a/packs/x", age_days=age_days) == fate


def test_uploads_that_were_abandoned_end_after_a_week() -> None:
    for key in ("tenants/acme/packs/x", "archive/x"):
        assert is_upload_aborted(POLICY, key, age_days=7)
        assert not is_upload_aborted(POLICY, key, age_days=6.9)


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        (1, {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}}),
        (1, {"Filter": {"Tag": {"Key": "a", "Value": "b"}}}),
        (1, {"Expiration": {"Date": "2026-01-01"}}),
        (1, {"Prefix": "tenants/"}),
        (0, {"Status": "enabled"}),
    ],
)
def test_what_the_evaluator_does_not_know_it_refuses(rule: int, change: dict[str, Any]) -> None:
    policy = copy.deepcopy(POLICY)
    policy["Rules"][rule] |= change
    with pytest.raises(UnknownRuleError):
        fate_of_object(policy, "archive/x", age_days=1)


def test_the_evaluator_sees_a_rule_that_touches_too_much() -> None:
    policy = copy.deepcopy(POLICY)
    policy["Rules"][1]["Filter"]["Prefix"] = ""
    assert fate_of_object(policy, "tenants/acme/packs/x", age_days=400) == "deleted"


def shown(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("store", "prefix"),
    [("s3://b", ""), ("s3://b/", ""), ("s3://b/some/prefix", "some/prefix/"), ("s3://b/p/", "p/")],
)
def test_the_rules_are_put_below_the_stores_prefix(store: str, prefix: str) -> None:
    policy = json.loads(shown("--show", store).stdout)
    assert [rule["Filter"]["Prefix"] for rule in policy["Rules"]] == [prefix, f"{prefix}archive/"]
    assert fate_of_object(policy, f"{prefix}tenants/a", age_days=999) == "kept"
    assert fate_of_object(policy, f"{prefix}archive/a", age_days=999) == "deleted"


def test_without_classes_the_archive_still_ends_by_age() -> None:
    policy = json.loads(shown("--show", "--without-glacier", "s3://b/p").stdout)
    assert fate_of_object(policy, "p/archive/a", age_days=364) == "kept"
    assert fate_of_object(policy, "p/archive/a", age_days=365) == "deleted"
    assert len(policy["Rules"]) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["b"],
        ["s3://"],
        ["--show", "s3://B"],
        ["--show", 's3://b/"x'],
        ["--show", "s3://b/a&b"],
        ["--show", "s3://b/a|b"],
        ["s3://a", "s3://b"],
        ["--force", "s3://b"],
    ],
)
def test_what_is_no_store_is_refused_before_anything_is_asked(arguments: list[str]) -> None:
    assert shown(*arguments).returncode == 2
