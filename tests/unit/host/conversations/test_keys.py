import hashlib

import pytest
from tests.unit.host.conversations.scripted import NOW

from hakoiri.audit.allowance import REFUSALS_BURST
from hakoiri.audit.event import EventKind
from hakoiri.audit.testing import MemoryAudit
from hakoiri.host.conversations.keys import KEY_FORM, SECRET_BYTES, KeyRing, NoSuchKeyError
from hakoiri.host.conversations.testing import MemoryKeys

pytestmark = pytest.mark.anyio


@pytest.fixture
def store() -> MemoryKeys:
    return MemoryKeys()


@pytest.fixture
def ring(store: MemoryKeys) -> KeyRing:
    return KeyRing(store=store, clock=lambda: NOW)


async def test_a_key_opens_its_tenant(ring: KeyRing) -> None:
    key, text = await ring.create_key(name="laptop", tenant="red")
    assert KEY_FORM.fullmatch(text)
    assert await ring.authenticate(f"Bearer {text}") == "red"
    assert await ring.authenticate(f"bearer {text}") == "red"
    assert await ring.list_keys(tenant="red") == [key]


async def test_the_secret_has_at_least_192_bits_and_is_not_stored(
    ring: KeyRing, store: MemoryKeys
) -> None:
    key, text = await ring.create_key(name="n", tenant="red")
    secret = text.rpartition("_")[2]
    assert SECRET_BYTES * 8 >= 192
    assert len(secret) == SECRET_BYTES * 2
    found = await store.find_key(key.id)
    assert found is not None
    assert found[1] == hashlib.sha256(secret.encode()).digest()
    assert secret not in repr(store._keys)


async def test_what_is_not_the_key_opens_nothing(ring: KeyRing) -> None:
    _, text = await ring.create_key(name="n", tenant="red")
    flipped = text[:-1] + ("0" if text[-1] != "0" else "1")
    for header in (
        None,
        "",
        text,
        "Bearer",
        f"Basic {text}",
        f"Bearer {flipped}",
        f"Bearer {text} x",
        f"Bearer {text.upper()}",
        "Bearer hk_" + "0" * 16 + "_" + "0" * 64,
        "Bearer " + "x" * 1_000_000,
    ):
        assert await ring.authenticate(header) is None


async def test_an_unknown_key_costs_the_same_comparison(
    ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[int, int]] = []

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((len(left), len(right)))
        return left == right

    monkeypatch.setattr("hmac.compare_digest", compare)
    _, text = await ring.create_key(name="n", tenant="red")
    for header in (f"Bearer {text}", "Bearer hk_" + "1" * 16 + "_" + "1" * 64, "nonsense", None):
        await ring.authenticate(header)
    assert compared == [(32, 32)] * 4


async def test_a_revoked_key_opens_nothing(ring: KeyRing) -> None:
    key, text = await ring.create_key(name="n", tenant="red")
    await ring.revoke_key(key.id, tenant="red")
    assert await ring.authenticate(f"Bearer {text}") is None


async def test_only_its_own_tenant_or_the_operator_revokes_a_key(ring: KeyRing) -> None:
    key, text = await ring.create_key(name="n", tenant="red")
    for key_id, tenant in ((key.id, "blue"), ("0" * 16, "red"), ("0" * 16, None)):
        with pytest.raises(NoSuchKeyError, match="there is no such key"):
            await ring.revoke_key(key_id, tenant=tenant)
    assert await ring.authenticate(f"Bearer {text}") == "red"
    await ring.revoke_key(key.id, tenant=None)
    assert await ring.authenticate(f"Bearer {text}") is None


async def test_keys_made_and_revoked_are_audited_without_their_secrets(store: MemoryKeys) -> None:
    audit = MemoryAudit()
    ring = KeyRing(store=store, clock=lambda: NOW, audit=audit)
    key, text = await ring.create_key(name="laptop", tenant="red")
    await ring.revoke_key(key.id, tenant=None)
    assert audit.kinds() == ["key_created", "key_revoked"]
    assert {event.tenant for event in audit.events} == {"red"}
    assert audit.events[0].details == {"key": key.id, "name": "laptop"}
    assert text.rpartition("_")[2] not in str(audit.events)


async def test_a_failed_login_is_audited_with_the_key_that_was_named_and_not_what_was_sent(
    store: MemoryKeys,
) -> None:
    audit = MemoryAudit()
    ring = KeyRing(store=store, clock=lambda: NOW, audit=audit)
    key, text = await ring.create_key(name="laptop", tenant="red")
    assert await ring.authenticate(f"Bearer {text}") == "red"
    for sent in (None, "planted", f"Bearer hk_{'1' * 16}_{'2' * 64}", f"Bearer {text[:-1]}"):
        assert await ring.authenticate(sent) is None
    wrong = f"Bearer hk_{key.id}_{'3' * 64}"
    assert await ring.authenticate(wrong) is None
    failed = [event for event in audit.events if event.kind is EventKind.LOGIN_FAILED]
    assert [(event.actor, event.details["reason"]) for event in failed] == [
        (None, "no key"),
        (None, "no key"),
        (f"key:{'1' * 16}", "unknown key"),
        (None, "no key"),
        (f"key:{key.id}", "wrong or revoked key"),
    ]
    assert failed[-1].tenant == "red"
    assert "planted" not in str(failed)
    assert "3" * 64 not in str(failed)


async def test_strangers_fill_no_disk_and_hide_nobody_who_tries_a_known_key(
    store: MemoryKeys,
) -> None:
    audit = MemoryAudit()
    ring = KeyRing(store=store, clock=lambda: NOW, audit=audit)
    key, _ = await ring.create_key(name="n", tenant="red")
    audit.events.clear()
    for _ in range(REFUSALS_BURST + 50):
        await ring.authenticate("Bearer nonsense")
    strangers = len(audit.events)
    assert REFUSALS_BURST <= strangers < REFUSALS_BURST + 50
    await ring.authenticate(f"Bearer hk_{key.id}_" + "0" * 64)
    assert audit.events[strangers].details["reason"] == "wrong or revoked key"


@pytest.mark.parametrize("key_id", ["", "a\0", "A" * 16, "0" * 17, "0" * 16 + "\n"])
async def test_what_can_be_no_keys_id_does_not_reach_the_database(
    ring: KeyRing, store: MemoryKeys, monkeypatch: pytest.MonkeyPatch, key_id: str
) -> None:
    monkeypatch.setattr(store, "find_key", None)
    with pytest.raises(NoSuchKeyError):
        await ring.revoke_key(key_id, tenant="red")
