from collections.abc import AsyncIterator

import pytest
from tests.unit.host.api.served import Served, problem
from tests.unit.host.files.test_archive_reader import make_zip

from hakoiri.host.conversations.model import ConversationKind

pytestmark = pytest.mark.anyio


async def test_files_are_listed_and_downloaded_but_never_shown() -> None:
    served = Served()
    served.files.contents = {"web/page.html": b"<script>alert(1)</script>"}
    async with served.client() as client:
        path = f"/v1/conversations/{(await served.world.conversation()).id}/workspace/files"
        listed = (await client.get(f"{path}?list")).json()["files"]
        assert listed[1] == {"path": "web/page.html", "kind": "file", "size_bytes": 25}
        got = await client.get(f"{path}/web/page.html")
        assert got.content == b"<script>alert(1)</script>"
        assert got.headers["content-type"] == "application/octet-stream"
        assert got.headers["x-content-type-options"] == "nosniff"
        assert got.headers["content-security-policy"].startswith("sandbox")
        assert got.headers["content-disposition"] == "attachment; filename*=UTF-8''page.html"


async def test_a_name_cannot_forge_a_header() -> None:
    served = Served()
    name = 'a%0D%0ASet-Cookie: x="箱.html'
    served.files.contents = {name: b"x"}
    async with served.client() as client:
        path = f"/v1/conversations/{(await served.world.conversation()).id}/workspace/files"
        got = await client.get(f"{path}/{name.replace('%', '%25')}")
        assert got.status_code == 200
        assert "set-cookie" not in got.headers
        assert got.headers["content-disposition"].isascii()


async def test_an_empty_file_is_a_file() -> None:
    served = Served()
    served.files.contents = {"empty": b""}
    async with served.client() as client:
        path = f"/v1/conversations/{(await served.world.conversation()).id}/workspace/files"
        got = await client.get(f"{path}/empty")
        assert (got.status_code, got.content) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "missing",
        "link",
        "../a.txt",
        "%2e%2e/a.txt",
        "..%2fa.txt",
        "%2Fetc/passwd",
        "/etc/passwd",
        "%2e/a.txt",
        "sub//a.txt",
        "a.txt%00",
        "a.txt/",
        "%FF",
    ],
)
async def test_what_is_not_listed_is_not_there(path: str) -> None:
    served = Served()
    served.files.contents = {"a.txt": b"x", "sub/a.txt": b"x"}
    async with served.client() as client:
        conversation = await served.world.conversation()
        base = f"http://localhost/v1/conversations/{conversation.id}/workspace/files"
        got = await client.get(f"{base}/{path}")
        assert got.status_code == 404
        assert problem(got) in ("no-such-file", "not-found")


async def test_a_damaged_file_is_a_problem_and_not_half_a_file() -> None:
    served = Served()
    served.files.contents, served.files.damaged = {"a.txt": b"x"}, {"a.txt"}
    async with served.client() as client:
        path = f"/v1/conversations/{(await served.world.conversation()).id}/workspace/files"
        got = await client.get(f"{path}/a.txt")
        assert (got.status_code, problem(got)) == (503, "files-unavailable")


async def test_a_chat_has_no_files() -> None:
    served = Served()
    async with served.client() as client:
        conversation = await served.world.conversation(ConversationKind.CHAT)
        path = f"/v1/conversations/{conversation.id}/workspace/files"
        assert problem(await client.get(path)) == "no-such-workspace"
        assert problem(await client.get(f"{path}/a")) == "no-such-workspace"


BYTES = {"Content-Type": "application/octet-stream"}


async def test_a_file_is_written_and_removed() -> None:
    served = Served()
    async with served.client() as client:
        workspace = await served.world.workspace()
        path = f"/v1/workspaces/{workspace.id}/files/a/%25FF%20b.bin"
        put = await client.put(path, content=b"\0" * 900, headers=BYTES)
        assert (put.status_code, put.json()) == (200, {"recovery_point": "rp-amended"})
        assert [entry.path for entry in served.world.files.entries] == [b"a", b"a/\xff b.bin"]
        assert list(served.world.files.blobs.values()) == [b"\0" * 900]
        gone = await client.delete(f"/v1/workspaces/{workspace.id}/files/a")
        assert (gone.status_code, served.world.files.entries) == (200, [])
        again = await client.delete(path)
        assert (again.status_code, problem(again)) == (404, "no-such-file")


@pytest.mark.parametrize("announced", [True, False])
async def test_a_file_over_the_limit_is_refused(*, announced: bool) -> None:
    served = Served()

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b"x" * 100

    async with served.client() as client:
        workspace = await served.world.workspace()
        content = b"x" * 1100 if announced else pieces()
        put = await client.put(f"/v1/workspaces/{workspace.id}/files/a", content=content)
        assert (put.status_code, problem(put)) == (413, "body-too-large")
    assert served.world.files.blobs == {}


@pytest.mark.parametrize("path", ["%2e%2e/a", "a//b", "%2Fetc/passwd", "a/", "%FF", "a%00", "%251"])
async def test_a_path_that_is_none_is_refused(path: str) -> None:
    served = Served()
    async with served.client() as client:
        workspace = await served.world.workspace()
        for method in ("PUT", "DELETE"):
            url = f"http://localhost/v1/workspaces/{workspace.id}/files/{path}"
            answer = await client.request(method, url, content=b"x" if method == "PUT" else None)
            assert answer.status_code in (404, 422)
            assert problem(answer) in ("invalid-request", "not-found", "no-such-file")
    assert served.world.files.entries == ()


async def test_what_is_in_the_way_is_told() -> None:
    served = Served()
    async with served.client() as client:
        workspace = await served.world.workspace()
        base = f"/v1/workspaces/{workspace.id}/files"
        await client.put(f"{base}/a", content=b"x")
        put = await client.put(f"{base}/a/b", content=b"x")
        assert (put.status_code, problem(put)) == (409, "edit-refused")


async def test_another_tenants_files_are_not_written() -> None:
    served = Served(require_keys=True)
    _, key = await served.keys.create_key(name="k", tenant="other")
    workspace = await served.world.workspace()
    async with served.client(Authorization=f"Bearer {key}") as client:
        for method in ("PUT", "DELETE"):
            answer = await client.request(method, f"/v1/workspaces/{workspace.id}/files/a")
            assert (answer.status_code, problem(answer)) == (404, "no-such-workspace")
    assert served.world.files.entries == ()


async def test_a_range_is_answered_with_its_bytes() -> None:
    served = Served()
    served.files.contents = {"a": b"0123456789"}
    async with served.client() as client:
        path = f"/v1/workspaces/{(await served.world.workspace()).id}/files/a"
        part = await client.get(path, headers={"Range": "bytes=2-4"})
        assert (part.status_code, part.content) == (206, b"234")
        assert part.headers["content-range"] == "bytes 2-4/10"
        assert part.headers["content-length"] == "3"
        assert part.headers["content-security-policy"].startswith("sandbox")
        whole = await client.get(path)
        assert (whole.status_code, whole.headers["accept-ranges"]) == (200, "bytes")
        outside = await client.get(path, headers={"Range": "bytes=10-"})
        assert (outside.status_code, problem(outside)) == (416, "range-not-satisfiable")
        assert outside.headers["content-range"] == "bytes */10"


async def test_an_archive_is_unpacked_into_a_folder_or_refused_whole() -> None:
    served = Served()
    async with served.client() as client:
        base = f"/v1/workspaces/{(await served.world.workspace()).id}/files"
        made = await client.put(f"{base}?archive=unpack", content=make_zip({"a": b"1"}))
        assert (made.status_code, made.json()["files"]) == (200, 1)
        made = await client.put(f"{base}/in?archive=unpack", content=make_zip({"b/c": b"1"}))
        assert made.json() | {"left_out_names": []} == {
            "recovery_point": "rp-amended",
            "files": 1,
            "file_bytes": 1,
            "left_out": 0,
            "left_out_names": [],
        }
        paths = [entry.path for entry in served.world.files.entries]
        assert paths == [b"a", b"in", b"in/b", b"in/b/c"]
        for path, content, status, code in (
            ("/in?archive=unpack", make_zip({"../x": b""}), 422, "archive-refused"),
            ("/in?archive=unpack", b"no archive", 422, "archive-refused"),
            ("/in?archive=unpack", b"x" * 1001, 413, "body-too-large"),
            ("/in?archive=zip", make_zip({"x": b""}), 422, "invalid-request"),
            ("", make_zip({"x": b""}), 422, "invalid-request"),
        ):
            got = await client.put(base + path, content=content)
            assert (got.status_code, problem(got)) == (status, code)
        assert [entry.path for entry in served.world.files.entries] == paths
