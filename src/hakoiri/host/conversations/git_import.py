"""A git repository cloned in a workspace's box, through its proxy: this host fetches nothing.

The proxy is asked first what it will say of git's two requests, so that a refusal names the rule
that is missing before a container is started; it decides anew on each request all the same. What
the box tells is its own word: a commit's hash is shown, and nothing is done by it.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Final, Protocol

import anyio
import structlog
from pydantic import ValidationError

from hakoiri.audit.event import AuditEvent, Detail, EventKind
from hakoiri.audit.writer import AuditLog
from hakoiri.host.containers.model import Claim
from hakoiri.host.containers.ports import ContainersError
from hakoiri.host.conversations.command_service import CommandService
from hakoiri.host.conversations.file_edits import FileEdits
from hakoiri.host.conversations.live_tree import live_tree
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.policy_service import PolicyService
from hakoiri.host.conversations.ports import Containers, ConversationsError
from hakoiri.host.conversations.running_command import RunningCommand
from hakoiri.host.files.paths import PathError, check_path, reported
from hakoiri.host.files.ports import EditRefusedError, FilesError, NoSpaceError, NoSuchFileError
from hakoiri.host.files.tree_edit import remove
from hakoiri.host.files.worker_thread import run_in_thread
from hakoiri.wire.base64_text import encode
from hakoiri.wire.command import CommandExit, CommandOutput, RunCommand
from hakoiri.wire.git_import import (
    IMPORT_DIRECTORY,
    LINE_LIMIT_BYTES,
    CloneDone,
    CloneFailed,
    CloneLine,
    CloneProgress,
    CloneRequest,
    GitSource,
    clone_line_adapter,
    host_of,
)
from hakoiri.wire.policy_test import Explanation, PolicyTest

PROGRAM: Final = ["/opt/hakoiri/bin/python", "-I", "-m", "hakoiri.workspace_agent.git_import"]
OUTPUT_LIMIT_BYTES: Final = 1024 * 1024
"""A clone tells a line for each percent of six stages at most."""

TAIL_LIMIT_BYTES: Final = 2000
"""Of the program's standard error, which is empty unless it fails itself."""

DIRECTORY: Final = IMPORT_DIRECTORY.encode()

logger = structlog.get_logger()


class GitImportError(ConversationsError):
    """The repository was not imported; the box's git says why."""


class GitNotAllowedError(GitImportError):
    """The workspace's policy does not let it through; the message names the mend."""


class GitTimeoutError(GitImportError):
    """It took longer than it may; nothing of it is left."""


class ImportRunningError(GitImportError):
    """An import runs in this workspace already."""


class PolicyExplained(Protocol):
    """The proxy's word on one request, without sending it. Errors are `ProxyControlError`."""

    async def explain(self, test: PolicyTest) -> Explanation:
        """Tell what would become of it."""


@dataclass(frozen=True, slots=True)
class GitImported:
    """What was imported; `recovery_point` is None while a turn runs, which makes it."""

    recovery_point: str | None
    commit: str


class GitImport:
    """Starts imports. Whoever gets a `RunningImport` must end it."""

    def __init__(
        self,
        *,
        commands: CommandService,
        edits: FileEdits,
        policies: PolicyService,
        containers: Containers,
        proxy: PolicyExplained,
        audit: AuditLog,
    ) -> None:
        self._commands = commands
        self._edits = edits
        self._policies = policies
        self._containers = containers
        self._proxy = proxy
        self._audit = audit
        self._running: set[str] = set()
        self._numbers = count(1)

    async def start(
        self, workspace: Workspace, source: GitSource, target: bytes, *, timeout_s: float
    ) -> "RunningImport":
        """Have the box clone into the new or empty directory `target`, in a container if need be.

        Raises `GitNotAllowedError`, `ImportRunningError`, `PathError`, and what a command raises.
        """
        check_path(target)
        if target.split(b"/")[0] == DIRECTORY:
            raise PathError(f"{IMPORT_DIRECTORY} is never saved; name another directory")
        if workspace.id in self._running:
            raise ImportRunningError("an import runs in this workspace; wait for its end")
        self._running.add(workspace.id)
        holder = f"import {next(self._numbers)}"
        try:
            await self._check_policy(workspace, source)
            command = RunCommand(
                argv=PROGRAM,
                stdin=encode(
                    CloneRequest(source=source, target=encode(target)).model_dump_json().encode()
                ),
                timeout_s=timeout_s,
                output_limit_bytes=OUTPUT_LIMIT_BYTES,
            )
            running = await self._commands.start(workspace, command)
        except BaseException:
            self._running.discard(workspace.id)
            raise
        return RunningImport(
            running,
            target=target,
            timeout_s=timeout_s,
            hold=partial(self._containers.join, workspace.id, holder=holder),
            saved=partial(self._edits.saved, workspace),
            tell=partial(self._tell, workspace, source),
            leave=partial(self._leave, workspace, holder),
        )

    async def _check_policy(self, workspace: Workspace, source: GitSource) -> None:
        """Ask the proxy what it will say of git's two requests (gitprotocol-http(5))."""
        policy = await self._policies.effective(tenant=workspace.tenant, name=workspace.policy)
        for method, path in (
            ("GET", "info/refs?service=git-upload-pack"),
            ("POST", "git-upload-pack"),
        ):
            test = PolicyTest(
                policy=policy,
                method=method,
                url=f"{source.url}/{path}",
                tenant=workspace.tenant,
            )
            told = await self._proxy.explain(test)
            if told.verdict == "refused":
                mend = f"; {told.mend}, in the policy {workspace.policy!r}" if told.mend else ""
                raise GitNotAllowedError(
                    f"the policy {workspace.policy!r} does not let {method} to "
                    f"{host_of(source.url)} through: {told.reason} ({told.code}){mend}"
                )

    def _tell(self, workspace: Workspace, source: GitSource, details: dict[str, Detail]) -> None:
        self._audit.tell(
            AuditEvent(
                kind=EventKind.FILE_CHANGED,
                succeeded="failure" not in details,
                tenant=workspace.tenant,
                workspace=workspace.id,
                conversation=workspace.conversation_id,
                details={"change": "git-import", "host": host_of(source.url), **details},
            )
        )

    async def _leave(self, workspace: Workspace, holder: str, *, is_whole: bool) -> None:
        """Let the container go, without what a clone left that did not come to its end."""
        try:
            claim = await self._containers.join(workspace.id, holder=holder)
            if claim is not None and not is_whole:
                tree = live_tree(claim.directories)
                with suppress(NoSuchFileError):
                    await run_in_thread(partial(remove, tree, DIRECTORY))
        except (ContainersError, FilesError):
            # it is not saved, counts against the quota of this box alone, and goes with the next
            await logger.awarning("import not cleared", workspace=workspace.id, exc_info=True)
        finally:
            await self._containers.release(workspace.id, holder=holder)
            self._running.discard(workspace.id)


class RunningImport:
    """An import as its reader sees it; `end` must be called in any case, and stops what runs."""

    def __init__(
        self,
        running: RunningCommand,
        *,
        target: bytes,
        timeout_s: float,
        hold: Callable[[], Awaitable[Claim | None]],
        saved: Callable[[Claim], Awaitable[str | None]],
        tell: Callable[[dict[str, Detail]], None],
        leave: Callable[..., Awaitable[None]],
    ) -> None:
        self._running = running
        self._target = target
        self._timeout_s = timeout_s
        self._hold = hold
        self._saved = saved
        self._tell = tell
        self._leave = leave
        self._has_ended = False
        self._is_whole = False

    async def told(
        self, *, idle_s: float
    ) -> AsyncGenerator[CloneProgress | GitImported | None, None]:
        """Yield how far it is, then what was imported; None whenever nothing came for `idle_s`.

        Raises `GitImportError`, `EditRefusedError` where the target is in use, `NoSpaceError`, and
        what a command's frames raise.
        """
        held = await self._hold()  # beyond the command's end
        lines = _Lines()
        async with aclosing(self._running.frames(idle_s=idle_s)) as frames:
            async for frame in frames:
                if frame is None:
                    yield None
                elif isinstance(frame, CommandOutput):
                    for progress in lines.take(frame):
                        yield progress
                else:
                    done = self._end_of(frame, lines)
        self._is_whole = True
        await self._running.end()
        if held is None:  # nothing can have been cloned in it
            raise GitImportError("the container went before the import began; try again")
        self._tell({"commit": done.commit})
        yield GitImported(recovery_point=await self._saved(held), commit=done.commit)

    def _end_of(self, end: CommandExit, lines: "_Lines") -> CloneDone:
        last = lines.last
        if end.code == 0 and isinstance(last, CloneDone):
            return last
        if end.timed_out:
            self._tell({"failure": "timeout"})
            raise GitTimeoutError(
                f"the clone took longer than {self._timeout_s:g} s and was stopped; ask for less "
                "with depth, or for more time with timeout_s"
            )
        if isinstance(last, CloneFailed):
            self._tell({"failure": last.code})
            raise _error_of(last, self._target)
        self._tell({"failure": "broke-off"})
        how = f"with code {end.code}" if end.code is not None else f"by signal {end.signal}"
        said = lines.tail.decode("utf-8", "replace").strip()
        raise GitImportError(f"the clone ended {how} in the box{f': {said}' if said else ''}")

    async def end(self) -> None:
        """Stop what still runs, remove what is left of it, and let the container go."""
        if self._has_ended:
            return
        self._has_ended = True
        with anyio.CancelScope(shield=True):
            try:
                await self._running.end()
            finally:
                await self._leave(is_whole=self._is_whole)


class _Lines:
    """The program's lines, from pieces of its output; the last but progress is kept."""

    def __init__(self) -> None:
        self.last: CloneDone | CloneFailed | None = None
        self.tail = b""
        self._rest = b""

    def take(self, output: CommandOutput) -> list[CloneProgress]:
        """Return the progress told in it; `GitImportError` for what is no line of ours."""
        if output.type == "stderr":
            self.tail = (self.tail + output.raw)[-TAIL_LIMIT_BYTES:]
            return []
        *whole, self._rest = (self._rest + output.raw).split(b"\n")
        if any(len(line) > LINE_LIMIT_BYTES for line in (*whole, self._rest)):
            raise GitImportError("the box told a line without an end")
        told = [_parsed(line) for line in whole]
        for line in told:
            if not isinstance(line, CloneProgress):
                self.last = line
        return [line for line in told if isinstance(line, CloneProgress)]


def _parsed(line: bytes) -> CloneLine:
    try:
        return clone_line_adapter.validate_json(line)
    except ValidationError as error:
        raise GitImportError("the box told something that is not as agreed") from error


def _error_of(failed: CloneFailed, target: bytes) -> Exception:
    """Return the error that a failure in the box is, with its mend."""
    if failed.code == "target-in-use":
        return EditRefusedError(
            f"{reported(target)}: {failed.text}; name a new or an empty directory"
        )
    if failed.code == "no-space":
        return NoSpaceError(
            "the workspace has no room for the repository, and nothing of it was kept; remove "
            f"something, ask for less with depth, or raise the quota ({failed.text})"
        )
    return GitImportError(f"{_MENDS.get(failed.code, 'git failed')} (git: {failed.text})")


_MENDS: Final = {
    "login": (
        "the server wants a login: define a credential in the credential proxy's own file, and "
        "name it in the policy's rule for the host"
    ),
    "no-such-ref": "there is no such branch, tag or commit; leave ref out for the usual branch",
    "no-such-repository": "the server knows no such repository, or none for this credential",
    "refused": (
        "the proxy or the server refused a request; the audit log says which "
        "(`hakoiri audit search --event proxy_request_blocked`)"
    ),
}
