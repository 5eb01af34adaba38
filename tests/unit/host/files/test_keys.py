import pytest

from hakoiri.host.files.keys import blob_key, manifest_key, pack_key
from hakoiri.host.files.ports import FilesError

SHA = "ab" * 32
POINT = "rp-" + "0" * 32


def test_packs_and_blobs_lie_under_their_tenant() -> None:
    assert pack_key("acme", SHA) == f"tenants/acme/packs/ab/{SHA}"
    assert blob_key("acme", SHA) == f"tenants/acme/blobs/ab/{SHA}"


def test_manifests_lie_under_their_workspace() -> None:
    assert manifest_key("acme", "ws-1", POINT) == (
        f"tenants/acme/workspaces/ws-1/manifests/{POINT}.json.zst"
    )
    assert manifest_key("acme", "ws-1", POINT, version=1).endswith(f"/{POINT}.json")


@pytest.mark.parametrize("tenant", ["", "..", "a/b", "A", "a\n", "a" * 64])
def test_a_tenant_that_could_reach_another_is_refused(tenant: str) -> None:
    with pytest.raises(FilesError, match="tenant"):
        blob_key(tenant, SHA)
    with pytest.raises(FilesError, match="tenant"):
        pack_key(tenant, SHA)
    with pytest.raises(FilesError, match="tenant"):
        manifest_key(tenant, "ws-1", POINT)


def test_other_malformed_parts_are_refused_by_name() -> None:
    with pytest.raises(FilesError, match="sha256"):
        blob_key("acme", "../x")
    with pytest.raises(FilesError, match="pack"):
        pack_key("acme", "../x")
    with pytest.raises(FilesError, match="workspace"):
        manifest_key("acme", "../ws", POINT)
    with pytest.raises(FilesError, match="recovery point"):
        manifest_key("acme", "ws-1", "rp-../../x")
