"""What is in recovery points, over HTTP."""

from hashlib import sha256

import pytest
from tests.unit.host.api.served import Served, problem

from hakoiri.host.files.keys import blob_key
from hakoiri.host.files.manifest import Entry

pytestmark = pytest.mark.anyio

CONTENT = b"<script>alert(1)</script>"
DIGEST = sha256(CONTENT).hexdigest()


def file(path: bytes, mode: int = 0o644) -> Entry:
    """A file whose bytes lie in a blob."""
    return Entry("workspace", path, "file", mode, 0, len(CONTENT), DIGEST)


async def test_what_differs_is_told_in_pages() -> None:
    served = Served()
    async with served.client() as client:
        workspace = await served.world.workspace()
        old = await served.world.recovery_point(workspace, file(b"a"), file(b"gone"))
        new = await served.world.recovery_point(
            workspace, file(b"a", 0o755), file(b"b%\n"), file(b"\xff")
        )
        base = f"/v1/workspaces/{workspace.id}/recovery-points"
        told = (await client.get(f"{base}/{old}/diff?limit=2")).json()
        assert (told["added"], told["removed"], told["changed"]) == (2, 1, 1)
        assert told["memory_changed"] is False
        same = {"kind": "file", "size_bytes": len(CONTENT), "sha256": DIGEST}
        assert told["changes"] == [
            {
                "path": "a",
                "change": "mode",
                "before": {**same, "mode": "0644"},
                "after": {**same, "mode": "0755"},
            },
            {
                "path": "b%25%0A",
                "change": "added",
                "before": None,
                "after": {**same, "mode": "0644"},
            },
        ]
        rest = await client.get(
            f"{base}/{old}/diff", params={"to": new, "limit": 2, "after": told["next"]}
        )
        assert [change["path"] for change in rest.json()["changes"]] == ["gone", "%FF"]
        assert rest.json()["next"] is None
        bad = await client.get(f"{base}/{old}/diff", params={"after": "../x"})
        assert (bad.status_code, problem(bad)) == (422, "invalid-request")
        unknown = await client.get(f"{base}/{old}/diff", params={"to": "rp-x"})
        assert problem(unknown) == "no-such-recovery-point"


async def test_a_file_is_downloaded_as_it_was_and_never_shown() -> None:
    served = Served()
    async with served.client() as client:
        workspace = await served.world.workspace()
        old = await served.world.recovery_point(workspace, file(b"web\n"))
        await served.world.recovery_point(workspace)
        served.world.objects.objects[blob_key("default", DIGEST)] = CONTENT
        path = f"/v1/workspaces/{workspace.id}/recovery-points/{old}/files/web%250A"
        got = await client.get(path)
        assert (got.status_code, got.content) == (200, CONTENT)
        assert got.headers["content-type"] == "application/octet-stream"
        assert got.headers["content-security-policy"].startswith("sandbox")
        assert got.headers["content-disposition"].startswith("attachment")
        assert "accept-ranges" not in got.headers
        again = await client.get(path, headers={"If-None-Match": got.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert problem(await client.get(f"{path}x")) == "no-such-file"
        assert problem(await client.get(f"{path}/..%2f")) in ("invalid-request", "no-such-file")


async def test_a_damaged_file_is_a_problem_and_not_half_a_file() -> None:
    served = Served()
    async with served.client() as client:
        workspace = await served.world.workspace()
        old = await served.world.recovery_point(workspace, file(b"a"))
        path = f"/v1/workspaces/{workspace.id}/recovery-points/{old}/files/a"
        got = await client.get(path)
        assert (got.status_code, problem(got)) == (503, "files-unavailable")
