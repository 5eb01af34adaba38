"""The contract of `KeyStore`, on SQLite and in memory."""

from datetime import timedelta

import pytest
from tests.integration.sql.conftest import NOW

from hakoiri.host.conversations.model import ApiKey
from hakoiri.host.conversations.ports import KeyStore

pytestmark = pytest.mark.anyio


def key(name: str, tenant: str = "default") -> ApiKey:
    return ApiKey(id=name, tenant=tenant, name=f"{name}'s key", created_at=NOW, revoked_at=None)


async def test_a_key_comes_back_with_its_hash(keys: KeyStore) -> None:
    await keys.add_key(key("a"), secret_hash=b"\0" * 32)
    assert await keys.find_key("a") == (key("a"), b"\0" * 32)
    assert await keys.find_key("b") is None


async def test_keys_are_listed_by_tenant_or_all(keys: KeyStore) -> None:
    await keys.add_key(key("a"), secret_hash=b"1")
    await keys.add_key(key("b", "other"), secret_hash=b"2")
    assert [item.id for item in await keys.keys(tenant="other")] == ["b"]
    assert [item.id for item in await keys.keys(tenant=None)] == ["a", "b"]


async def test_the_first_revocation_counts(keys: KeyStore) -> None:
    await keys.add_key(key("a"), secret_hash=b"1")
    assert await keys.revoke_key("a", now=NOW)
    assert await keys.revoke_key("a", now=NOW + timedelta(days=1))
    assert not await keys.revoke_key("b", now=NOW)
    found = await keys.find_key("a")
    assert found is not None
    assert found[0].revoked_at == NOW
