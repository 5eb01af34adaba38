"""Repositories from a server that wants a login, into boxes that have none."""

import base64
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.https_site import trusting_file
from tests.e2e.running import Hakoiri, prepare
from tests.e2e.scripts import RUN
from tests.e2e.test_workspaces import shell, until
from tests.e2e.tls_server import tls_server
from tests.engine import TestEngine
from tests.git_site import GitHandler, GitRoot, git, make_repository, plain_git_site

from hakoiri.cli.api_client import ApiError

pytestmark = [pytest.mark.engine, pytest.mark.root]

HOST = "git.example.test"
PLAIN_HOST = "plain-git.example.test"
TOKEN = "planted-token-of-the-git-server"
LOGIN = "Basic " + base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
URL = f"https://{HOST}/site.git"
COMMAND_LINE = Path(sys.executable).with_name("hakoiri")


@dataclass(frozen=True, slots=True)
class Sites:
    """A server over TLS that wants a login, and one in plain HTTP that does not."""

    root: GitRoot
    commits: dict[str, str]
    port: int
    plain_port: int
    ca_file: Path


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    directory = tmp_path_factory.mktemp("git")
    root = GitRoot(directory, authorization=LOGIN)
    commits = make_repository(directory)
    _make_large(directory)
    with ExitStack() as stack:
        readable = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="hakoiri-trust-"))
        stack.callback(shutil.rmtree, readable)
        handler = partial(GitHandler, root=root)
        server = stack.enter_context(tls_server(handler, host=HOST, keys=directory / "keys"))
        stack.callback(root.stalls.set)
        plain_port = stack.enter_context(plain_git_site(GitRoot(directory)))
        root.moved["/moved.git"] = f"http://{PLAIN_HOST}:{plain_port}/site.git"
        yield Sites(
            root=root,
            commits=commits,
            port=server.port,
            plain_port=plain_port,
            ca_file=trusting_file([server.certificate_pem], readable),
        )


def _make_large(directory: Path) -> None:
    """A repository that does not fit a small disk."""
    source = directory / "large.source"
    source.mkdir()
    git("init", "--quiet", "--initial-branch=main", directory=source)
    with (source / "noise").open("wb") as file, Path("/dev/urandom").open("rb") as noise:
        file.write(noise.read(40 * 1024 * 1024))
    git("add", ".", directory=source)
    git("commit", "--quiet", "-m", "large", directory=source)
    git("clone", "--quiet", "--bare", str(source), str(directory / "large.git"), directory=source)


def proxy_file(sites: Sites) -> str:
    return f"""
[credentials.git]
kind = "basic"
username = "x-access-token"
value_env = "GIT_SERVER_TOKEN"
hosts = ["{HOST}"]
endpoint = "https://{HOST}:{sites.port}"

[network]
allow_addresses = ["127.0.0.1:{sites.port}", "127.0.0.1:{sites.plain_port}"]
ca_file = "{sites.ca_file}"
[network.hosts]
"{HOST}" = "127.0.0.1"
"{PLAIN_HOST}" = "127.0.0.1"
"""


@contextmanager
def running(
    sites: Sites, docker_host: str, image: str, root: Path, runtime: str
) -> Iterator[Hakoiri]:
    """A server whose boxes have small disks and may reach both sites."""
    made = prepare(
        root,
        docker_host=docker_host,
        script=RUN,
        settings={
            "HAKOIRI_CONTAINER__IMAGE": image,
            "HAKOIRI_CONTAINER__RUNTIME": runtime,
            "HAKOIRI_CONTAINER__WORKSPACE_MIB": "48",
            "HAKOIRI_CONTAINER__WORKSPACE_INODES": "4096",
        },
    )
    own = made.root / "proxy"
    (own / "proxy.toml").write_text(proxy_file(sites))
    (own / "proxy.env").write_text(f"GIT_SERVER_TOKEN={TOKEN}\n")
    (own / "proxy.env").chmod(0o600)
    with made.server:
        policy = made.api.call("GET", "/v1/policies/default")
        policy["rules"] = [
            {"host": HOST, "methods": ["GET", "POST"], "credential": "git"},
            {"host": PLAIN_HOST, "ports": [sites.plain_port]},
        ]
        made.api.call("PUT", "/v1/policies/default", policy)
        yield made


@pytest.fixture(scope="module")
def server(
    sites: Sites, engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hakoiri]:
    root = tmp_path_factory.mktemp("runc")
    with running(sites, engine.docker_host, image, root, "runc") as made:
        yield made


@pytest.fixture(scope="module")
def workspace(server: Hakoiri) -> str:
    made: str = server.api.call("POST", "/v1/workspaces", {})["id"]
    return made


def imported(server: Hakoiri, place: str, **git: Any) -> dict[str, Any]:
    done: dict[str, Any] = server.api.call("POST", f"{place}/import", {"git": git})
    return done


def test_gvisor_takes_one_too(sites: Sites, engine: TestEngine, image: str, tmp_path: Path) -> None:
    with running(sites, engine.docker_host, image, tmp_path, "runsc") as server:
        made = server.api.call("POST", "/v1/workspaces", {})["id"]
        done = imported(server, f"/v1/workspaces/{made}", url=URL, ref="v1", depth=1)
        assert done["commit"] == sites.commits["v1"]
        assert shell(server, made, "cat site/README; ls -A") == "first\nsite\n"


def test_a_repository_comes_with_a_login_that_the_box_never_has(
    server: Hakoiri, workspace: str, sites: Sites
) -> None:
    place = f"/v1/workspaces/{workspace}"
    done = imported(server, place, url=URL, path="in/site")
    assert (done["commit"], done["path"]) == (sites.commits["main"], "in/site")
    listed = {one["path"]: one["kind"] for one in server.api.call("GET", f"{place}/files")["files"]}
    assert listed["in/site/README"] == "file"
    assert listed["in/site/link"] == "symlink"
    assert listed["in/site/.git/HEAD"] == "file"
    assert not any(".hakoiri-import" in path for path in listed)
    newest = server.api.call("GET", f"{place}/recovery-points")["recovery_points"][0]
    assert (newest["id"], newest["reason"]) == (done["recovery_point"], "changed")
    mine = "stat -c %u in/site/README; git -C in/site log --format=%s; git -C in/site status -s"
    assert shell(server, workspace, mine) == "1000\nsecond\nfirst\n"
    pattern = f"{TOKEN[:-1]}[{TOKEN[-1]}]"  # the message must not be what is found later
    planted = f"grep -rsl '{pattern}' /workspace /home /tmp /proc/self/environ || echo none"
    assert shell(server, workspace, planted) == "none\n"
    assert TOKEN not in shell(server, workspace, "cat in/site/.git/config; env")
    server.api.call("DELETE", place)
    assert shell(server, workspace, "cat in/site/README") == "second\n"


def test_a_conversation_gets_a_branch_by_the_command_line(server: Hakoiri, sites: Sites) -> None:
    conversation = server.conversation()
    url = f"http://127.0.0.1:{server.server.port}"
    words = ["files", "import", conversation, "--url", url, "--git", URL, "--ref", "dev"]
    done = subprocess.run(
        [COMMAND_LINE, *words, "--depth", "1", "-o", "json"],
        check=True,
        capture_output=True,
        timeout=120,
    )
    assert json.loads(done.stdout)["commit"] == sites.commits["dev"]
    told = server.turn(conversation, "run: cat site/dev; git -C site log --format=%s")
    assert told[-1]["data"]["text"].split()[-2:] == ["dev", "dev"]
    events = list(
        server.api.events(
            "POST",
            f"/v1/conversations/{conversation}/workspace/import",
            {"git": {"url": URL, "ref": sites.commits["v1"], "path": "first"}},
        )
    )
    assert events[-1][0] == "imported"
    assert {name for name, _ in events[:-1]} == {"progress"}
    assert events[-1][1]["commit"] == sites.commits["v1"]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a host that no rule names": (
        {"url": "https://other.example.test/a.git"},
        'add a rule with host = "other.example.test" and ports = \\[443\\], in the policy',
    ),
    "plain HTTP without a rule": (
        {"url": f"http://{HOST}/site.git"},
        f"add 80 to the ports of a rule for {HOST}",
    ),
    "an address": ({"url": "https://127.0.0.1/site.git"}, "the host must be a name"),
    "a login in the URL": ({"url": f"https://me:pw@{HOST}/site.git"}, "credential proxy's own"),
    "another transport": ({"url": "ext::sh -c id"}, "other transports are not taken"),
    "an option as a ref": ({"url": URL, "ref": "--upload-pack=id"}, "name a branch or a tag"),
    "a ref that is not there": ({"url": URL, "ref": "none"}, "no such branch"),
    "a repository that is not there": (
        {"url": f"https://{HOST}/none.git"},
        "knows no such repository",
    ),
    "a way down to plain HTTP": ({"url": f"https://{HOST}/moved.git"}, "git failed"),
    "a place that is full": ({"url": URL, "path": "taken"}, "taken: the directory is not empty"),
    "a place outside": ({"url": URL, "path": "../out"}, "without empty"),
    "a link on the way": ({"url": URL, "path": "way/out"}, "way/out: the target"),
    "more than the disk holds": ({"url": f"https://{HOST}/large.git"}, "no room"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_is_told_with_its_mend_and_leaves_nothing(
    server: Hakoiri, workspace: str, what: str
) -> None:
    asked, mend = REFUSED[what]
    shell(server, workspace, "mkdir -p taken; touch taken/x; ln -sfn /tmp way")
    look = "find . -path ./in -prune -o -print | sort; ls /tmp"
    before = shell(server, workspace, look)
    with pytest.raises(ApiError, match=mend):
        imported(server, f"/v1/workspaces/{workspace}", **asked)
    assert shell(server, workspace, look) == before


def test_plain_http_is_taken_where_a_rule_has_its_port(
    server: Hakoiri, workspace: str, sites: Sites
) -> None:
    url = f"http://{PLAIN_HOST}:{sites.plain_port}/site.git"
    done = imported(server, f"/v1/workspaces/{workspace}", url=url, ref="v1", path="plain")
    assert done["commit"] == sites.commits["v1"]


def test_a_login_that_no_rule_names_is_missed_and_told(server: Hakoiri, sites: Sites) -> None:
    rule = {"host": HOST, "ports": [sites.port], "methods": ["GET", "POST"]}
    server.api.call("PUT", "/v1/policies/without", {"rules": [rule]})
    made = server.api.call("POST", "/v1/workspaces", {"policy": "without"})["id"]
    with pytest.raises(ApiError, match="define a credential"):
        imported(server, f"/v1/workspaces/{made}", url=f"https://{HOST}:{sites.port}/site.git")
    server.api.call("DELETE", f"/v1/workspaces/{made}?files=delete")


@pytest.mark.parametrize("how", ["the client goes", "its time is up"])
def test_an_import_that_is_cut_off_leaves_nothing(
    server: Hakoiri, workspace: str, sites: Sites, how: str
) -> None:
    place = f"/v1/workspaces/{workspace}"
    before = shell(server, workspace, "ls -A")
    sites.root.stalls.clear()
    sites.root.stalled.clear()
    try:
        if how == "the client goes":
            body = json.dumps({"git": {"url": URL, "path": "cut"}})
            headers = {"Content-Type": "application/json"}
            with closing(HTTPConnection("127.0.0.1", server.server.port)) as connection:
                connection.request("POST", f"{place}/import", body=body, headers=headers)
                assert sites.root.stalled.wait(60)
                assert ".hakoiri-import" in shell(server, workspace, "ls -A")
                listed = server.api.call("GET", f"{place}/files")["files"]
                assert not any("import" in one["path"] for one in listed), "half of it was saved"
        else:
            with pytest.raises(ApiError, match="longer than 6 s"):
                imported(server, place, url=URL, path="cut", timeout_s=6)
            assert sites.root.stalled.is_set()
        until(lambda: shell(server, workspace, "ls -A") == before, f"something is left when {how}")
    finally:
        sites.root.stalls.set()
    assert imported(server, place, url=URL, path=f"after/{len(how)}")["path"]


def test_it_is_audited(server: Hakoiri, workspace: str, sites: Sites) -> None:
    place = f"/v1/workspaces/{workspace}"
    imported(server, place, url=URL, path="audited")
    with pytest.raises(ApiError):
        imported(server, place, url=f"https://{HOST}/none.git")

    def told() -> list[dict[str, Any]]:
        asked = f"/v1/audit?event=file_changed&workspace={workspace}&limit=2"
        return [one["unmapped"] for one in server.api.call("GET", asked)["events"]]

    until(lambda: any("failure" in one for one in told()), "it was not audited")
    failed, done = told()
    assert (failed["host"], failed["failure"]) == (HOST, "no-such-repository")
    assert (done["host"], done["commit"]) == (HOST, sites.commits["main"])
    assert TOKEN not in json.dumps([failed, done])
