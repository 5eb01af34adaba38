import pytest
from tests.unit.host.api.served import Served, problem

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
