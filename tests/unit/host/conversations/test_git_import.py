"""Imports whose box follows a script; what must not stay lies in a real tree."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from tests.unit.host.conversations import scripted
from tests.unit.host.conversations.scripted import CommandStep, ScriptedExplanations, World

from hakoiri.audit.event import EventKind
from hakoiri.host.containers.live import TURN
from hakoiri.host.containers.ports import AgentUnreachableError, CapacityError
from hakoiri.host.conversations.git_import import (
    PROGRAM,
    GitImport,
    GitImported,
    GitImportError,
    GitNotAllowedError,
    GitTimeoutError,
    ImportRunningError,
    RunningImport,
)
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.files.paths import PathError
from hakoiri.host.files.ports import EditRefusedError, NoSpaceError, StaleGenerationError
from hakoiri.wire.base64_text import decode
from hakoiri.wire.command import CommandExit, CommandOutput
from hakoiri.wire.git_import import (
    IMPORT_DIRECTORY,
    CloneDone,
    CloneFailed,
    CloneProgress,
    CloneRequest,
    FailureCode,
    GitSource,
)
from hakoiri.wire.messages import Message
from hakoiri.wire.policy_test import Explanation

pytestmark = pytest.mark.anyio

URL = "https://git.example.test/acme/site.git"
SOURCE = GitSource(url=URL, ref="v1")
COMMIT = "ab" * 20
DONE = CloneDone(commit=COMMIT)
HALF = CloneProgress(stage="receiving", percent=50)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("w", "h", "a"):
        (tmp_path / name).mkdir()
    directories = replace(
        scripted.DIRECTORIES,
        workspace=tmp_path / "w",
        home=tmp_path / "h",
        agent=tmp_path / "a",
        owner_uid=os.getuid(),
        owner_gid=os.getgid(),
    )
    monkeypatch.setattr(scripted, "DIRECTORIES", directories)
    return tmp_path / "w"


class Imports:
    """A world, and imports in it."""

    def __init__(self) -> None:
        self.world = World()
        self.proxy = ScriptedExplanations()
        self.imports = GitImport(
            commands=self.world.workspaces.commands,
            edits=self.world.workspaces.edits,
            policies=self.world.policies,
            containers=self.world.containers,
            proxy=self.proxy,
            audit=self.world.audit,
        )

    def says(self, *lines: Message | bytes, end: CommandExit) -> None:
        raw = [line if isinstance(line, bytes) else _line(line) for line in lines]
        steps: Sequence[CommandStep] = [
            (number, CommandOutput.of("stdout", one)) for number, one in enumerate(raw, 1)
        ]
        self.world.containers.agent.commands = [*steps, (len(raw) + 1, end)]

    async def start(self, workspace: Workspace, target: bytes = b"site") -> RunningImport:
        return await self.imports.start(workspace, SOURCE, target, timeout_s=60)

    async def run(
        self, workspace: Workspace, target: bytes = b"site"
    ) -> list[CloneProgress | GitImported | None]:
        running = await self.start(workspace, target)
        try:
            return [one async for one in running.told(idle_s=60)]
        finally:
            await running.end()


def listed(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def _line(message: Message) -> bytes:
    return message.model_dump_json().encode() + b"\n"


async def test_it_is_cloned_in_the_box_and_saved() -> None:
    made = Imports()
    made.says(HALF, DONE, end=CommandExit(code=0))
    async with made.world.workspaces.saver:
        workspace = await made.world.workspace()
        told = await made.run(workspace, b"a/\xff")
        assert len(made.world.files.saves) == 1
    assert made.world.containers.holders(workspace.id) == frozenset()
    assert told[0] == HALF
    assert isinstance(told[1], GitImported)
    assert told[1].commit == COMMIT
    (asked,) = made.world.containers.agent.asked
    assert (asked.argv, asked.timeout_s, asked.environment) == (PROGRAM, 60, {})
    request = CloneRequest.model_validate_json(decode(asked.stdin or ""))
    assert (request.source, decode(request.target)) == (SOURCE, b"a/\xff")
    (changed,) = [one for one in made.world.audit.events if one.kind is EventKind.FILE_CHANGED]
    assert changed.succeeded
    assert changed.details == {
        "change": "git-import",
        "host": "git.example.test",
        "commit": COMMIT,
    }


async def test_under_a_turn_the_turn_saves() -> None:
    made = Imports()
    made.says(DONE, end=CommandExit(code=0))
    async with made.world.workspaces.saver:
        workspace = await made.world.workspace()
        made.world.containers.held[workspace.id] = {TURN}
        assert await made.run(workspace) == [GitImported(recovery_point=None, commit=COMMIT)]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/info/refs?service=git-upload-pack"), ("POST", "/git-upload-pack")],
)
async def test_what_the_policy_refuses_is_told_before_a_box_is_started(
    method: str, path: str
) -> None:
    made = Imports()
    made.proxy.refusals[method, URL + path] = Explanation(
        verdict="refused",
        code="host-not-allowed",
        reason="no rule fits git.example.test:443",
        mend='add a rule with host = "git.example.test" and ports = [443]',
        steps=[],
    )
    async with made.world.workspaces.saver:
        workspace = await made.world.workspace()
        with pytest.raises(GitNotAllowedError) as refused:
            await made.start(workspace)
        made.proxy.refusals.clear()
        made.says(DONE, end=CommandExit(code=0))
        await made.run(workspace)
    for word in ("git.example.test", "host-not-allowed", "add a rule with host", "'default'"):
        assert word in str(refused.value)
    assert made.world.containers.log.count("claim for a command") == 1


@pytest.mark.parametrize(
    ("code", "error", "word"),
    [
        ("login", GitImportError, "define a credential"),
        ("no-such-ref", GitImportError, "no such branch"),
        ("no-such-repository", GitImportError, "no such repository"),
        ("refused", GitImportError, "audit log"),
        ("failed", GitImportError, "git failed"),
        ("no-space", NoSpaceError, "nothing of it was kept"),
        ("target-in-use", EditRefusedError, "site: .*name a new or an empty directory"),
    ],
)
async def test_why_the_clone_failed_is_told_with_the_mend(
    code: FailureCode, error: type[Exception], word: str
) -> None:
    made = Imports()
    made.says(CloneFailed(code=code, text="fatal: so it is"), end=CommandExit(code=1))
    async with made.world.workspaces.saver:
        workspace = await made.world.workspace()
        with pytest.raises(error, match=word) as told:
            await made.run(workspace)
    assert "fatal: so it is" in str(told.value)
    (changed,) = [one for one in made.world.audit.events if one.kind is EventKind.FILE_CHANGED]
    assert (changed.succeeded, changed.details["failure"]) == (False, code)


async def test_a_clone_that_takes_too_long_is_told() -> None:
    made = Imports()
    made.says(HALF, end=CommandExit(signal=9, timed_out=True))
    async with made.world.workspaces.saver:
        workspace = await made.world.workspace()
        with pytest.raises(GitTimeoutError, match="longer than 60 s"):
            await made.run(workspace)


LIES: list[tuple[tuple[Message | bytes, ...], CommandExit]] = [
    ((b"hello\n",), CommandExit(code=0)),
    ((b'{"type": "done", "commit": "main"}\n',), CommandExit(code=0)),
    ((b" " * 20_000, DONE), CommandExit(code=0)),
    ((b"\n", DONE), CommandExit(code=0)),
    ((DONE,), CommandExit(code=1)),
    ((DONE,), CommandExit(signal=9)),
    ((HALF,), CommandExit(code=0)),
    ((DONE, CloneFailed(code="failed", text="")), CommandExit(code=0)),
]


@pytest.mark.parametrize(("lines", "end"), LIES)
async def test_what_is_not_as_agreed_imports_nothing(
    lines: tuple[Message | bytes, ...], end: CommandExit
) -> None:
    made = Imports()
    made.says(*lines, end=end)
    async with made.world.workspaces.saver:
        workspace = await made.world.workspace()
        with pytest.raises(GitImportError):
            await made.run(workspace)


async def test_lines_may_come_in_pieces() -> None:
    made = Imports()
    raw = _line(HALF) + _line(DONE)
    made.says(raw[:5], raw[5:60], raw[60:], end=CommandExit(code=0))
    async with made.world.workspaces.saver:
        workspace = await made.world.workspace()
        assert len(await made.run(workspace)) == 2


async def test_a_program_that_fails_itself_is_heard() -> None:
    made = Imports()
    made.world.containers.agent.commands = [
        (1, CommandOutput.of("stderr", b"x" * 5000 + b"No module named git_import\n")),
        (2, CommandExit(code=1)),
    ]
    async with made.world.workspaces.saver:
        workspace = await made.world.workspace()
        with pytest.raises(GitImportError, match=r"with code 1 .*No module named") as told:
            await made.run(workspace)
    assert len(str(told.value)) < 2200


async def test_one_import_at_a_time_and_then_the_next() -> None:
    made = Imports()
    made.says(DONE, end=CommandExit(code=0))
    async with made.world.workspaces.saver:
        workspace, other = await made.world.workspace(), await made.world.workspace()
        running = await made.start(workspace)
        with pytest.raises(ImportRunningError):
            await made.start(workspace)
        await (await made.start(other)).end()
        await running.end()
        await running.end()
        await made.run(workspace)


async def test_a_start_that_fails_lets_the_next_one_through() -> None:
    made = Imports()
    made.world.containers.claim_failure = CapacityError("full")
    async with made.world.workspaces.saver:
        workspace = await made.world.workspace()
        for _ in range(2):
            with pytest.raises(CapacityError):
                await made.start(workspace)


@pytest.mark.parametrize(
    "target", [b"", b"/x", b"../x", b"a/../b", b"a//b", b".hakoiri-import", b".hakoiri-import/x"]
)
async def test_a_target_lies_in_the_workspace_and_is_saved(target: bytes) -> None:
    made = Imports()
    workspace = await made.world.workspace()
    with pytest.raises(PathError):
        await made.start(workspace, target)
    assert made.proxy.asked == []


async def test_an_import_that_is_left_leaves_nothing(tree: Path) -> None:
    made = Imports()
    made.world.containers.agent.commands = [
        (1, CommandOutput.of("stdout", _line(HALF))),
        anyio.Event(),
    ]
    async with made.world.workspaces.saver:
        workspace = await made.world.workspace()
        running = await made.start(workspace)
        told = running.told(idle_s=60)
        assert await anext(told) == HALF
        (tree / IMPORT_DIRECTORY / "tree" / ".git").mkdir(parents=True)
        (tree / IMPORT_DIRECTORY / "tree" / ".git" / "pack").write_bytes(b"half")
        (tree / "mine").touch()
        holders = made.world.containers.holders(workspace.id) or frozenset()
        assert {"import 1", "command 1"} <= holders
        await told.aclose()
        await running.end()
        assert made.world.containers.agent.ended
    assert listed(tree) == ["mine"]
    assert made.world.containers.holders(workspace.id) == frozenset()


async def test_what_a_box_put_in_the_clones_place_is_not_followed(
    tree: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    made = Imports()
    made.world.containers.agent.commands = [AgentUnreachableError("gone")]
    async with made.world.workspaces.saver:
        workspace = await made.world.workspace()
        (tree / IMPORT_DIRECTORY).symlink_to(outside)
        with pytest.raises(AgentUnreachableError):
            await made.run(workspace)
    assert (listed(tree), listed(outside)) == ([], ["kept"])


async def test_a_container_that_is_gone_needs_no_clearing() -> None:
    made = Imports()
    made.says(HALF, end=CommandExit(code=1))
    async with made.world.workspaces.saver:
        workspace = await made.world.workspace()
        running = await made.start(workspace)
        made.world.containers.held.pop(workspace.id)
        with pytest.raises(GitImportError):
            _ = [one async for one in running.told(idle_s=60)]
        await running.end()


async def test_a_clone_in_a_container_that_went_is_not_told_as_imported() -> None:
    made = Imports()
    made.says(HALF, DONE, end=CommandExit(code=0))
    async with made.world.workspaces.saver:
        workspace = await made.world.workspace()
        running = await made.start(workspace)
        made.world.containers.held.pop(workspace.id)
        with pytest.raises(GitImportError, match="the container went"):
            _ = [one async for one in running.told(idle_s=60)]
        await running.end()


async def test_a_clone_that_another_server_took_the_workspace_from_is_not_told_as_saved() -> None:
    made = Imports()
    made.says(HALF, DONE, end=CommandExit(code=0))
    async with made.world.workspaces.saver:
        workspace = await made.world.workspace()
        running = await made.start(workspace)
        now = made.world.store.workspaces[workspace.id]
        newer = made.world.containers.generation + 1
        made.world.store.workspaces[workspace.id] = replace(now, generation=newer)
        with pytest.raises(StaleGenerationError):
            _ = [one async for one in running.told(idle_s=60)]
        await running.end()
