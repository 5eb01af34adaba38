"""Clones of a real repository, served by git's own backend on loopback."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.git_site import GitRoot, make_repository, plain_git_site

from hakoiri.wire.base64_text import encode
from hakoiri.wire.git_import import (
    IMPORT_DIRECTORY,
    CloneFailed,
    CloneProgress,
    CloneRequest,
    GitSource,
    clone_line_adapter,
)
from hakoiri.workspace_agent import git_import
from hakoiri.workspace_agent.git_import import CloneError, import_repository, main

URL = "http://git.example.test"


class Site:
    def __init__(self, directory: Path, port: int, root: GitRoot) -> None:
        self.root = root
        self.own = {"PATH": os.environ["PATH"], "http_proxy": f"http://127.0.0.1:{port}"}
        self.commits = make_repository(directory)

    def request(
        self,
        target: bytes = b"site",
        *,
        name: str = "site.git",
        ref: str | None = None,
        depth: int | None = None,
    ) -> CloneRequest:
        source = GitSource(url=f"{URL}/{name}", ref=ref, depth=depth)
        return CloneRequest(source=source, target=encode(target))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("git")
    root = GitRoot(directory)
    with plain_git_site(root) as port:
        yield Site(directory, port, root)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    made = tmp_path / "workspace"
    made.mkdir()
    return made


def run(site: Site, workspace: Path, request: CloneRequest) -> str:
    return import_repository(request, workspace, own=site.own, tell=lambda _: None)


def listed(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def log(tree: Path) -> list[str]:
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", "log", "--format=%s"],
        cwd=tree,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.split()


def test_a_clone_lies_at_its_place_with_links_as_data(site: Site, workspace: Path) -> None:
    told: list[CloneProgress] = []
    commit = import_repository(site.request(b"a/b"), workspace, own=site.own, tell=told.append)
    tree = workspace / "a" / "b"
    assert commit == site.commits["main"]
    assert listed(tree) == [".git", ".gitmodules", "README", "bin", "link", "sub"]
    assert (tree / "README").read_text() == "second\n"
    assert (tree / "link").is_symlink()
    assert str((tree / "link").readlink()) == "../../../../etc/passwd"
    assert os.access(tree / "bin" / "run", os.X_OK)
    assert log(tree) == ["second", "first"]
    assert ("receiving", 100) in [(one.stage, one.percent) for one in told]
    assert listed(workspace) == ["a"]


def test_a_submodule_is_not_fetched(site: Site, workspace: Path) -> None:
    site.root.seen.clear()
    run(site, workspace, site.request())
    assert list((workspace / "site" / "sub").iterdir()) == []
    assert {line.split()[1].split("/")[1] for line in site.root.seen} == {"site.git"}


@pytest.mark.parametrize("ref", ["dev", "v1", "commit"])
def test_a_branch_a_tag_and_a_commit_are_found(site: Site, workspace: Path, ref: str) -> None:
    name = site.commits["v1"] if ref == "commit" else ref
    commit = run(site, workspace, site.request(ref=name))
    assert commit == site.commits["v1" if ref == "commit" else ref]
    assert (workspace / "site" / "README").read_text() == "first\n"


@pytest.mark.parametrize("ref", [None, "main", "commit"])
def test_a_depth_leaves_history_out(site: Site, workspace: Path, ref: str | None) -> None:
    name = site.commits["main"] if ref == "commit" else ref
    run(site, workspace, site.request(ref=name, depth=1))
    assert log(workspace / "site") == ["second"]


@pytest.mark.parametrize(
    ("name", "ref", "code"),
    [
        ("none.git", None, "no-such-repository"),
        ("site.git", "none", "no-such-ref"),
        ("site.git", "0" * 40, "no-such-ref"),
        ("empty.git", None, "no-such-ref"),
    ],
)
def test_what_is_not_there_is_told_and_leaves_nothing(
    site: Site, workspace: Path, name: str, ref: str | None, code: str
) -> None:
    if name == "empty.git" and not (site.root.directory / name).exists():
        subprocess.run(["git", "init", "--quiet", "--bare", site.root.directory / name], check=True)
    with pytest.raises(CloneError) as failed:
        run(site, workspace, site.request(b"a/b/c", name=name, ref=ref))
    assert failed.value.code == code
    assert listed(workspace) == []


def test_a_login_that_is_wanted_is_told_and_not_asked_for(site: Site, workspace: Path) -> None:
    site.root.authorization = "Basic x"
    try:
        with pytest.raises(CloneError) as failed:
            run(site, workspace, site.request())
    finally:
        site.root.authorization = None
    assert failed.value.code == "login"


def test_an_empty_directory_is_filled_and_nothing_else_is_touched(
    site: Site, workspace: Path
) -> None:
    (workspace / "empty").mkdir()
    run(site, workspace, site.request(b"empty"))
    assert (workspace / "empty" / "README").is_file()
    (workspace / "file").write_text("mine")
    (workspace / "full").mkdir()
    (workspace / "full" / "file").write_text("mine")
    outside = workspace.parent / "outside"
    outside.mkdir()
    (workspace / "way").symlink_to(outside)
    (workspace / "dangling").symlink_to(outside / "none")
    before = listed(workspace)
    for target in (b"file", b"full", b"way", b"way/x", b"file/x", b"dangling", b"dangling/x"):
        site.root.seen.clear()
        with pytest.raises(CloneError) as failed:
            run(site, workspace, site.request(target))
        assert failed.value.code == "target-in-use"
        assert site.root.seen == [], "it is known before anything is fetched"
    assert listed(workspace) == before
    assert listed(outside) == []
    assert (workspace / "full" / "file").read_text() == "mine"


def test_what_takes_the_targets_place_meanwhile_is_not_replaced(
    site: Site, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = workspace.parent / "outside"
    outside.mkdir()
    clone = git_import._clone

    def slow(*arguments: object, **more: object) -> str:
        commit: str = clone(*arguments, **more)  # type: ignore[arg-type]
        (workspace / "site").symlink_to(outside)
        return commit

    monkeypatch.setattr(git_import, "_clone", slow)
    with pytest.raises(CloneError) as failed:
        run(site, workspace, site.request())
    assert failed.value.code == "target-in-use"
    assert (listed(workspace), listed(outside)) == (["site"], [])
    (workspace / "site").unlink()
    (workspace / "site").mkdir()

    def filled(*arguments: object, **more: object) -> str:
        commit: str = clone(*arguments, **more)  # type: ignore[arg-type]
        (workspace / "site" / "mine").touch()
        return commit

    monkeypatch.setattr(git_import, "_clone", filled)
    with pytest.raises(CloneError):
        run(site, workspace, site.request())
    assert listed(workspace / "site") == ["mine"]


def test_what_an_import_left_that_was_killed_goes_with_the_next(
    site: Site, workspace: Path
) -> None:
    (workspace / IMPORT_DIRECTORY / "tree" / "half").mkdir(parents=True)
    run(site, workspace, site.request())
    assert listed(workspace) == ["site"]
    outside = workspace.parent / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    (workspace / IMPORT_DIRECTORY).symlink_to(outside)
    run(site, workspace, site.request(b"again"))
    assert (listed(workspace), listed(outside)) == (["again", "site"], ["kept"])


def test_nothing_of_the_boxs_own_git_is_run(site: Site, workspace: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "hooks").mkdir(parents=True)
    hook = f"#!/bin/sh\ntouch {tmp_path}/ran\n"
    for place in ("hooks/post-checkout", "template/hooks/post-checkout", "helper"):
        file = home / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(hook)
        file.chmod(0o755)
    (home / ".gitconfig").write_text(
        f"[core]\n\thooksPath = {home}/hooks\n\tfsmonitor = {home}/helper\n"
        f"[init]\n\ttemplateDir = {home}/template\n"
        f'[url "{URL}/none/"]\n\tinsteadOf = {URL}/\n'
        f'[filter "x"]\n\tsmudge = {home}/helper\n'
    )
    own = site.own | {
        "HOME": str(home),
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_TEMPLATE_DIR": str(home / "template"),
    }
    import_repository(site.request(), workspace, own=own, tell=lambda _: None)
    assert not (tmp_path / "ran").exists()
    assert not (workspace / "site" / ".git" / "hooks").exists()


def test_a_full_disk_is_told_whatever_git_makes_of_it(
    site: Site, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_import, "_is_full", lambda _: True)
    with pytest.raises(CloneError) as failed:
        run(site, workspace, site.request(name="none.git"))
    assert failed.value.code == "no-space"


def test_without_git_it_is_said(site: Site, workspace: Path) -> None:
    with pytest.raises(CloneError, match="no git"):
        import_repository(
            site.request(), workspace, own={"PATH": "/nonexistent"}, tell=lambda _: None
        )


def test_the_program_tells_lines(
    site: Site,
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(git_import, "WORKING_ROOT", str(workspace))
    monkeypatch.setenv("http_proxy", site.own["http_proxy"])
    for asked in (site.request(), site.request(), None):
        raw = asked.model_dump_json() if asked is not None else "{}"
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw.encode())))
        if not (workspace / "site").exists():
            main()
        else:
            with pytest.raises(SystemExit, match="1"):
                main()
    lines = [clone_line_adapter.validate_json(one) for one in capsys.readouterr().out.splitlines()]
    ends = [line for line in lines if not isinstance(line, CloneProgress)]
    assert [line.type for line in ends] == ["done", "failed", "failed"]
    assert isinstance(ends[1], CloneFailed)
    assert ends[1].code == "target-in-use"
