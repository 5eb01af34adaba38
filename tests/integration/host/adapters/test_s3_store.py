"""The S3 store against a real server, through a network and a server that fail."""

import asyncio
import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.s3_server import (
    SECRET_ACCESS_KEY,
    Fault,
    FaultyProxy,
    S3Server,
    credentials_file,
    faulty_proxy,
)

from hakoiri.host.adapters import s3_store
from hakoiri.host.adapters.object_store import open_object_store
from hakoiri.host.files.ports import FilesError, ObjectMissingError, ObjectStore
from hakoiri.host.settings import ObjectStoreSettings

pytestmark = [pytest.mark.anyio, pytest.mark.root]

CONTENT = os.urandom(300_000)
TIMEOUT_S = 60.0
"""Of a server that answers, however slow the machine."""

SHORT_S = 1.0


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[FaultyProxy]:
    with faulty_proxy(s3) as made:
        yield made


@pytest.fixture
def bucket(s3: S3Server) -> str:
    return s3.bucket(f"b-{os.urandom(6).hex()}")


def settings(
    directory: Path, endpoint: str, *, timeout_s: float = TIMEOUT_S, **more: Any
) -> ObjectStoreSettings:
    return ObjectStoreSettings(
        credentials_file=credentials_file(directory),
        endpoint=endpoint,
        timeout_s=timeout_s,
        **more,
    )


@pytest.fixture
def store(proxy: FaultyProxy, bucket: str, tmp_path: Path) -> ObjectStore:
    return open_object_store(f"s3://{bucket}/some/prefix", settings(tmp_path, proxy.endpoint))


async def test_objects_lie_below_the_prefix(store: ObjectStore, s3: S3Server, bucket: str) -> None:
    await store.put("a/b", CONTENT)
    listed = s3.client().list_objects_v2(Bucket=bucket)["Contents"]
    assert [item["Key"] for item in listed] == ["some/prefix/a/b"]


@pytest.mark.parametrize("fault", ["throttled", "broken", "away", "cut"])
async def test_a_fault_that_passes_is_not_noticed(
    store: ObjectStore, proxy: FaultyProxy, fault: Fault
) -> None:
    await store.put("k", CONTENT)
    if fault != "cut":
        proxy.fail(fault, times=2)
        await store.put("k2", CONTENT)
        assert proxy.seen == 3
    proxy.fail(fault, times=1)
    assert await store.get("k", limit_bytes=len(CONTENT)) == CONTENT


@pytest.mark.parametrize("fault", ["throttled", "broken", "away", "cut"])
async def test_a_fault_that_stays_is_one_error_of_ours_and_never_half_an_object(
    store: ObjectStore, proxy: FaultyProxy, fault: Fault
) -> None:
    await store.put("k", CONTENT)
    proxy.fail(fault)
    with pytest.raises(FilesError) as caught:
        await store.get("k", limit_bytes=len(CONTENT))
    assert not isinstance(caught.value, ObjectMissingError)
    if fault != "cut":
        with pytest.raises(FilesError, match=r"^new: "):
            await store.put("new", CONTENT)
    assert SECRET_ACCESS_KEY not in str(caught.value)
    proxy.fail("none")
    assert await store.get("k", limit_bytes=len(CONTENT)) == CONTENT


async def test_a_server_that_never_answers_is_given_up(
    proxy: FaultyProxy, bucket: str, tmp_path: Path
) -> None:
    chosen = settings(tmp_path, proxy.endpoint, timeout_s=SHORT_S)
    store = open_object_store(f"s3://{bucket}", chosen)
    proxy.fail("hanging")
    async with asyncio.timeout(TIMEOUT_S):
        with pytest.raises(FilesError):
            await store.put("k", CONTENT)


async def test_a_stream_that_is_cut_short_raises(store: ObjectStore, proxy: FaultyProxy) -> None:
    await store.put("k", CONTENT)
    proxy.fail("cut")
    with pytest.raises(FilesError):
        _ = [chunk async for chunk in store.stream("k")]


async def test_new_credentials_in_the_file_are_used_without_a_restart(
    proxy: FaultyProxy, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_store, "CREDENTIALS_LIFE", -s3_store.CREDENTIALS_LIFE)
    chosen = settings(tmp_path, proxy.endpoint)
    path = chosen.credentials_file
    assert path is not None
    good = path.read_text()
    path.write_text(good.replace(SECRET_ACCESS_KEY, "old"))
    store = open_object_store(f"s3://{bucket}", chosen)
    with pytest.raises(FilesError) as caught:
        await store.put("k", CONTENT)
    assert "old" not in str(caught.value).split()
    path.write_text(good)
    await store.put("k", CONTENT)


async def test_keys_in_the_environment_are_not_used(
    proxy: FaultyProxy, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(tmp_path, proxy.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOTHER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    await open_object_store(f"s3://{bucket}", chosen).put("k", CONTENT)


async def test_a_customers_key_goes_with_each_request(
    proxy: FaultyProxy, bucket: str, tmp_path: Path, s3: S3Server
) -> None:
    chosen = settings(tmp_path, proxy.endpoint, encryption="customer")
    path = chosen.credentials_file
    assert path is not None
    with pytest.raises(FilesError, match="needs customer_key"):
        open_object_store(f"s3://{bucket}", chosen)
    key = base64.b64encode(os.urandom(32)).decode()
    path.write_text(path.read_text() + f'customer_key = "{key}"\n')
    store = open_object_store(f"s3://{bucket}", chosen)
    await store.put("k", CONTENT)
    assert await store.get("k", limit_bytes=len(CONTENT)) == CONTENT
    with pytest.raises(s3.client().exceptions.ClientError):
        s3.client().get_object(Bucket=bucket, Key="k")


@pytest.mark.parametrize(
    "url", ["s3://", "s3://UPPER", "s3://b", "s3://user@bucket", "s3://bucket/a/../b", "s3://buc?x"]
)
def test_a_malformed_address_is_one_clear_error(url: str, tmp_path: Path) -> None:
    with pytest.raises(FilesError, match="object_store_url: "):
        open_object_store(url, settings(tmp_path, "http://127.0.0.1:1"))


def test_without_a_credentials_file_the_setting_is_named() -> None:
    with pytest.raises(FilesError, match="HAKOIRI_OBJECT_STORE__CREDENTIALS_FILE"):
        open_object_store("s3://bucket")


def test_plain_http_leaves_this_host_for_nobody(tmp_path: Path) -> None:
    with pytest.raises(FilesError, match="http:// is for loopback only"):
        open_object_store("s3://bucket", settings(tmp_path, "http://s3.example.test"))
