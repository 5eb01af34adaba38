import anyio
import pytest
from tests.unit.host.api.served import Served, StreamReader, problem

from hakoiri.host.api.folder_downloads import AT_ONCE

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("path", "name"), [("/web", "web"), ("", None)])
async def test_a_folder_is_a_download_and_never_shown(path: str, name: str | None) -> None:
    served = Served()
    async with served.client() as client:
        workspace = await served.world.workspace()
        got = await client.get(f"/v1/workspaces/{workspace.id}/files{path}?archive=zip")
    assert (got.status_code, got.content) == (200, b"PKend")
    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["content-security-policy"].startswith("sandbox")
    assert got.headers["cache-control"] == "no-store"
    assert got.headers["content-disposition"] == (
        f"attachment; filename*=UTF-8''{name or workspace.id}.zip"
    )
    assert got.headers["hakoiri-left-out"] == "2"


async def test_what_fails_at_once_is_a_problem() -> None:
    served = Served()
    served.files.damaged = {"web"}
    async with served.client() as client:
        base = f"/v1/workspaces/{(await served.world.workspace()).id}/files"
        for path, status, code in (
            ("/web?archive=zip", 503, "files-unavailable"),
            ("/none?archive=zip", 404, "no-such-file"),
            ("/web?archive=rar", 422, "invalid-request"),
            ("?archive=tar", 422, "invalid-request"),
        ):
            got = await client.get(base + path)
            assert (got.status_code, problem(got)) == (status, code)
        served.files.damaged = set()
        for _ in range(2 * AT_ONCE):  # no place is left taken by what failed
            assert (await client.get(f"{base}/web?archive=zip")).status_code == 200


async def test_another_tenants_folder_is_not_there() -> None:
    served = Served(require_keys=True)
    _, key = await served.keys.create_key(name="k", tenant="other")
    workspace = await served.world.workspace()
    async with served.client(Authorization=f"Bearer {key}") as client:
        got = await client.get(f"/v1/workspaces/{workspace.id}/files?archive=zip")
        assert (got.status_code, problem(got)) == (404, "no-such-workspace")


async def test_a_tenant_has_few_at_once_and_who_goes_away_gives_the_place_back() -> None:
    served = Served()
    served.files.hold = anyio.Event()
    async with served.client() as client:
        path = f"/v1/workspaces/{(await served.world.workspace()).id}/files?archive=zip"
        readers = [StreamReader(served.app, path) for _ in range(AT_ONCE)]
        async with anyio.create_task_group() as group:
            for reader in readers:
                group.start_soon(reader.run)
                assert (await reader.next())["status"] == 200
            refused = await client.get(path)
            assert (refused.status_code, problem(refused)) == (429, "too-many-downloads")
            for reader in readers:
                reader.leave()
        served.files.hold.set()
        assert (await client.get(path)).status_code == 200
