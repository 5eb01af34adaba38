"""Containers, agents and files that follow a script, and the service around them."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import anyio

from hakoiri.audit.testing import MemoryAudit
from hakoiri.host.containers.admission import LinePlace
from hakoiri.host.containers.holding_still import Still
from hakoiri.host.containers.live import TURN
from hakoiri.host.containers.model import Claim, ContainerDirectories
from hakoiri.host.containers.ports import (
    CapacityError,
    PolicyRefusedError,
    WorkspaceInUseError,
)
from hakoiri.host.conversations.conversation_service import ConversationService
from hakoiri.host.conversations.event_feed import EventFeed
from hakoiri.host.conversations.execute_service import ExecuteService
from hakoiri.host.conversations.model import (
    Conversation,
    ConversationKind,
    TurnLimits,
    Workspace,
)
from hakoiri.host.conversations.point_services import make_point_services
from hakoiri.host.conversations.point_testing import MemoryPoints
from hakoiri.host.conversations.policy_service import PolicyService
from hakoiri.host.conversations.testing import (
    MemoryConversations,
    MemoryPolicies,
    MemoryWorkspaces,
)
from hakoiri.host.conversations.workspace_services import make_workspace_services
from hakoiri.host.files.manifest import Entry, Manifest
from hakoiri.host.files.manifest_store import ManifestStore
from hakoiri.host.files.pack_writer import PackWriter
from hakoiri.host.files.packs import Known, Pack, Part, Parts
from hakoiri.host.files.point_files import PointFiles
from hakoiri.host.files.points import PointReason
from hakoiri.host.files.ports import Begun, LiveTree, WorkspaceHead
from hakoiri.host.files.quota import DiskUse, TreeUse
from hakoiri.host.files.testing import MemoryObjectStore
from hakoiri.wire.agent import AgentHealth, AgentOptions, RunTurn
from hakoiri.wire.command import CommandExit, CommandFrame, CommandOutput, RunCommand
from hakoiri.wire.events import AgentEvent, ConversationEvent, EventData, Result, TextDelta
from hakoiri.wire.messages import Runtime
from hakoiri.wire.policy import DENY_ALL, Policy
from hakoiri.wire.policy_test import Explanation, PolicyTest
from hakoiri.wire.probe import ProbeReport, ProbeRequest

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LIMITS = TurnLimits(
    timeout_s=30,
    silence_timeout_s=30,
    interrupt_grace_s=30,
    shutdown_timeout_s=30,
    retry_pause_s=0,
)
DIRECTORIES = ContainerDirectories(
    workspace=Path("/w"), home=Path("/h"), agent=Path("/a"), owner_uid=1000, owner_gid=1000
)

Step = tuple[int, AgentEvent] | Exception | anyio.Event | Callable[[], None]
"""An event to send, an error to raise, a signal to wait for, or something to do."""

CommandStep = tuple[int, CommandFrame] | Exception | anyio.Event
SAID: tuple[CommandStep, ...] = (
    (1, CommandOutput.of("stdout", b"hi\n")),
    (2, CommandExit(code=0)),
)

ANSWER: tuple[Step, ...] = ((1, TextDelta(text="hi")), (2, Result(text="hi")))


class ScriptedAgent:
    """Each connection plays the next script; interrupting sets `interrupted`."""

    def __init__(self, *scripts: Sequence[Step]) -> None:
        self.scripts = list(scripts)
        self.requests: list[RunTurn] = []
        self.resumed_after: list[int] = []
        self.acknowledged: list[int] = []
        self.interrupts: list[str] = []
        self.interrupted = anyio.Event()
        self.interrupt_failure: Exception | None = None
        self.acknowledge_failure: Exception | None = None
        self.commands: Sequence[CommandStep] = SAID
        self.command_failures: list[Exception | None] = []
        self.asked: list[RunCommand] = []
        self.ended: list[RunCommand] = []
        self.when_asked: Callable[[], None] = lambda: None

    def run_turn(self, request: RunTurn) -> AsyncIterator[tuple[int, AgentEvent]]:
        self.requests.append(request)
        return self._play()

    def resume_stream(self, turn_id: str, *, after: int) -> AsyncIterator[tuple[int, AgentEvent]]:
        assert not self.requests or turn_id == self.requests[-1].turn_id
        self.resumed_after.append(after)
        return self._play()

    async def _play(self) -> AsyncIterator[tuple[int, AgentEvent]]:
        for step in self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, anyio.Event):
                await step.wait()
            elif isinstance(step, tuple):
                yield step
            else:
                step()

    async def health(self) -> AgentHealth:
        self.when_asked()
        return AgentHealth(state="ready", version="1")

    async def acknowledge(self, turn_id: str, seq: int) -> None:
        if self.acknowledge_failure is not None:
            raise self.acknowledge_failure
        self.acknowledged.append(seq)

    async def connect(self, options: AgentOptions) -> None:
        raise NotImplementedError

    async def disconnect(self) -> None:
        raise NotImplementedError

    @asynccontextmanager
    async def run_command(
        self, request: RunCommand
    ) -> AsyncIterator[AsyncIterator[tuple[int, CommandFrame]]]:
        self.asked.append(request)
        if self.command_failures and (failure := self.command_failures.pop(0)) is not None:
            raise failure

        async def frames() -> AsyncIterator[tuple[int, CommandFrame]]:
            for step in self.commands:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, anyio.Event):
                    await step.wait()
                else:
                    yield step

        try:
            yield frames()
        finally:
            self.ended.append(request)

    async def probe(self, request: ProbeRequest) -> ProbeReport:
        raise NotImplementedError

    async def interrupt(self, turn_id: str) -> None:
        self.interrupts.append(turn_id)
        if self.interrupt_failure is not None:
            raise self.interrupt_failure
        self.interrupted.set()

    async def close(self) -> None:
        return None


@dataclass
class ScriptedContainers:
    """Gives every claim the same agent."""

    agent: ScriptedAgent = field(default_factory=lambda: ScriptedAgent(ANSWER))
    start: Literal["live", "warm", "cold"] = "cold"
    claim_failure: Exception | None = None
    rebind_failures: list[Exception | None] = field(default_factory=list)
    release_failure: Exception | None = None
    halt_failures: list[Exception | None] = field(default_factory=list)
    hold_claim: anyio.Event | None = None
    hold_retire: anyio.Event | None = None
    during_claim: Callable[[], Awaitable[None]] | None = None
    container_id: str = "k-1"
    generation: int = 1
    """Counted up by `retire`."""

    held: dict[str, set[str]] = field(default_factory=dict)
    """The holders of each live container."""

    log: list[str] = field(default_factory=list)
    policies: list[Policy] = field(default_factory=list)
    asked: list[tuple[Runtime, bool]] = field(default_factory=list)
    full: CapacityError | None = None
    places: Sequence[LinePlace] = ()
    """Where each claim stands in the line, one after the other."""

    told: Callable[[LinePlace], None] | None = None
    resumed: list[bool] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    """Workspaces whose next claim has a place kept."""

    gone: list[str] = field(default_factory=list)
    """Workspaces that nobody is to wait for any more."""

    meant: list[str | None] = field(default_factory=list)
    """The containers that were named, of all that were halted or retired."""

    async def claim(
        self,
        *,
        workspace_id: str,
        tenant: str,
        policy: Policy,
        prepare: Callable[[ContainerDirectories], Awaitable[None]],
        runtime: Runtime,
        restores: bool,
        holder: str = TURN,
        told: Callable[[LinePlace], None] | None = None,
        resumes: bool = False,
    ) -> Claim:
        self.resumed.append(resumes)
        if told is not None:
            self.told = told
            for place in self.places:
                told(place)
                await anyio.wait_all_tasks_blocked()
        self.log.append("claim" if holder == TURN else f"claim for a {holder.split(maxsplit=1)[0]}")
        self.asked.append((runtime, restores))
        self.policies.append(policy)
        if self.hold_claim is not None:
            await self._held("claim", self.hold_claim)
        if self.claim_failure is not None:
            raise self.claim_failure
        if self.start != "live":
            await prepare(DIRECTORIES)
        if self.during_claim is not None:
            await self.during_claim()
        self.held.setdefault(workspace_id, set()).add(holder)
        return self._claim(workspace_id, self.start)

    def _claim(self, workspace_id: str, start: Literal["live", "warm", "cold"]) -> Claim:
        return Claim(
            container_id=self.container_id,
            workspace_id=workspace_id,
            generation=self.generation,
            start=start,
            agent=self.agent,
            directories=DIRECTORIES,
        )

    async def join(self, workspace_id: str, *, holder: str) -> Claim | None:
        if workspace_id not in self.held:
            return None
        self.held[workspace_id].add(holder)
        return self._claim(workspace_id, "live")

    def holders(self, workspace_id: str) -> frozenset[str] | None:
        held = self.held.get(workspace_id)
        return None if held is None else frozenset(held)

    async def rebind(self, *, workspace_id: str, tenant: str, policy: Policy) -> None:
        self.log.append(f"rebind {workspace_id}")
        self.policies.append(policy)
        if self.rebind_failures and (failure := self.rebind_failures.pop(0)) is not None:
            if not isinstance(failure, PolicyRefusedError):
                self.log.append("end policy-not-applied")
                self.held.pop(workspace_id, None)
            raise failure

    def check_room(self, *, workspace_id: str, tenant: str) -> None:
        if self.full is not None and workspace_id not in self.held:
            raise self.full

    async def retire(
        self,
        workspace_id: str,
        *,
        reason: str,
        container_id: str | None = None,
        unless_held_by: str | None = None,
        for_good: bool = False,
        is_replaced: bool = False,
    ) -> None:
        if unless_held_by in self.held.get(workspace_id, set()):
            raise WorkspaceInUseError("in use")
        self.meant.append(container_id)
        self.replaced += [workspace_id] * is_replaced
        self.log.append(f"retire {reason}")
        if for_good:
            self.gone.append(workspace_id)
        self.held.pop(workspace_id, None)
        self.generation += 1
        if self.hold_retire is not None:
            await self._held("retire", self.hold_retire)

    async def withdraw(self, workspace_id: str, *, reason: str) -> None:
        await self.retire(workspace_id, reason=reason)
        self.log[-1] = f"withdraw {reason}"

    async def halt(self, workspace_id: str, *, container_id: str) -> None:
        self.meant.append(container_id)
        self.log.append("halt")
        if self.halt_failures and (failure := self.halt_failures.pop(0)) is not None:
            raise failure

    async def release(
        self, workspace_id: str, *, holder: str = TURN, is_saved: bool | None = None
    ) -> None:
        self.held.get(workspace_id, set()).discard(holder)
        told = "release" if holder == TURN else f"release of a {holder.split(maxsplit=1)[0]}"
        self.log.append(told if is_saved is not False else f"{told} unsaved")
        if self.release_failure is not None:
            raise self.release_failure

    async def _held(self, step: str, until: anyio.Event) -> None:
        """Wait; when cancelled, clean up as an orchestrator does: with calls that take time."""
        try:
            await until.wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            self.log.append(f"{step} cleaned up")
            raise

    async def why_lost(self, container_id: str) -> str:
        return "out of memory"

    @asynccontextmanager
    async def still(self, workspace_id: str) -> AsyncIterator[Still]:
        holders = self.held.get(workspace_id)
        if holders is None:
            yield Still()
            return
        if holders:
            raise WorkspaceInUseError("in use")
        self.log.append("freeze")
        still = Still(DIRECTORIES, self.generation)
        try:
            yield still
        finally:
            self.log.append("give up" if still.is_given_up else "thaw")
            if still.is_given_up:
                del self.held[workspace_id]


@dataclass
class ScriptedExplanations:
    """A proxy that lets all through but what is named by method and URL."""

    refusals: dict[tuple[str, str], Explanation] = field(default_factory=dict)
    asked: list[PolicyTest] = field(default_factory=list)

    async def explain(self, test: PolicyTest) -> Explanation:
        self.asked.append(test)
        passed = Explanation(verdict="allowed", code="allowed", reason="it may pass", steps=[])
        return self.refusals.get((test.method, test.url), passed)


@dataclass(frozen=True)
class Report:
    recovery_point: str = "rp-1"
    uploaded: int = 1
    uploaded_bytes: int = 10
    deleted: int = 0
    kept: int = 0
    left_out: Sequence[str] = ()


@dataclass(frozen=True)
class Restored:
    session_id: str | None
    event_number: int = 0


@dataclass
class ScriptedFiles:
    """Saves nothing, restores nothing, and remembers what it was asked."""

    restore_failure: Exception | None = None
    save_failure: Exception | None = None
    save_failures: list[Exception] = field(default_factory=list)
    """Of the first saves, one each."""

    hold_save: anyio.Event | None = None
    restored: Restored | None = None
    saves: list[dict[str, object]] = field(default_factory=list)
    reasons: list[PointReason] = field(default_factory=list)
    report: Report = Report()
    entries: Sequence[Entry] = ()
    blobs: dict[str, bytes] = field(default_factory=dict)
    objects: MemoryObjectStore = field(default_factory=MemoryObjectStore)
    when_saved: Callable[[], Awaitable[None]] | None = None
    amend_failures: list[Exception | None] = field(default_factory=list)
    use: TreeUse | Exception = field(
        default_factory=lambda: TreeUse(
            workspace=DiskUse(0, 4096, 0, 16), home=DiskUse(0, 4096, 0, 16)
        )
    )

    async def usage(self, tree: LiveTree) -> TreeUse:
        if isinstance(self.use, Exception):
            raise self.use
        return self.use

    async def has_recovery_point(self, workspace_id: str) -> bool:
        return self.restored is not None

    async def restore(self, *, tenant: str, workspace_id: str, tree: LiveTree) -> Restored | None:
        if self.restore_failure is not None:
            raise self.restore_failure
        return self.restored

    async def save(
        self,
        *,
        tenant: str,
        workspace_id: str,
        generation: int,
        event_number: int,
        tree: LiveTree,
        session_id: str | None,
        reason: PointReason,
    ) -> Report:
        self.saves.append({"event_number": event_number, "session_id": session_id})
        self.reasons.append(reason)
        if self.when_saved is not None:
            await self.when_saved()
        if self.hold_save is not None:
            await self.hold_save.wait()
        if self.save_failures:
            raise self.save_failures.pop(0)
        if self.save_failure is not None:
            raise self.save_failure
        return self.report

    async def amend(
        self,
        *,
        tenant: str,
        workspace_id: str,
        generation: int,
        change: Callable[[Sequence[Entry]], Sequence[Entry]],
        begun: Begun | None = None,
    ) -> str:
        if self.amend_failures and (failure := self.amend_failures.pop(0)) is not None:
            raise failure
        self.entries = [*change(self.entries)]
        return "rp-amended"

    async def begin(self) -> Begun:
        return Begun(mark=0, at_s=0)

    async def store_file(self, *, tenant: str, descriptor: int, size: int, sha256: str) -> Parts:
        self.blobs[sha256] = os.pread(descriptor, size, 0)
        return (Part(Pack(sha256, "none", size, size), 0, size, sha256),)

    def packs(self, tenant: str) -> PackWriter:
        return PackWriter(store=self.objects, tenant=tenant, known=Known())

    async def unsaved(self, *, tenant: str, workspace_id: str, tree: LiveTree) -> list[str]:
        return ["workspace/changed"]


class ScriptedModel:
    """A chat model that answers with a script."""

    def __init__(self, *steps: EventData | Exception | anyio.Event) -> None:
        self.steps = steps
        self.asked: list[Sequence[tuple[str, str]]] = []
        self.models: list[str | None] = []

    async def answer(
        self, *, conversation: Conversation, history: Sequence[tuple[str, str]]
    ) -> AsyncIterator[EventData]:
        self.asked.append(history)
        self.models.append(conversation.options.model)
        for step in self.steps:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, anyio.Event):
                await step.wait()
            else:
                yield step


class World:
    """Everything around the service."""

    def __init__(
        self,
        *,
        containers: ScriptedContainers | None = None,
        files: ScriptedFiles | None = None,
        model: ScriptedModel | None = None,
        limits: TurnLimits = LIMITS,
        default_policy: Policy = DENY_ALL,
        runtimes: Sequence[Runtime] = ("runc",),
    ) -> None:
        self.runtimes = runtimes
        self.ended: list[str] = []
        self.leaves_turns = False
        self.store = MemoryConversations()
        self.policy_store = MemoryPolicies(self.store)
        self.feed = EventFeed(store=self.store)
        self.containers = containers or ScriptedContainers()
        self.files = files or ScriptedFiles()
        self.model = model or ScriptedModel(Result(text="chat"))
        self.policies = PolicyService(
            store=self.policy_store, containers=self.containers, default_policy=default_policy
        )
        self.conversations = ConversationService(
            store=self.store,
            feed=self.feed,
            policies=self.policies,
            clock=lambda: NOW,
            runtimes=self.runtimes,
        )
        self.service = ExecuteService(
            store=self.store,
            feed=self.feed,
            policies=self.policies,
            containers=self.containers,
            files=self.files,
            chat_model=self.model,
            limits=limits,
            clock=lambda: NOW,
            runtimes=self.runtimes,
            turn_ended=self.ended.append,
            leaves_turns=lambda: self.leaves_turns,
        )
        self.workspace_store = MemoryWorkspaces(self.store)
        self.now_s = 0.0
        self.audit = MemoryAudit()
        self.workspaces = make_workspace_services(
            store=self.workspace_store,
            conversations=self.store,
            policies=self.policies,
            containers=self.containers,
            files=self.files,
            editable=self.files,
            clock=lambda: NOW,
            monotonic=lambda: self.now_s,
            runtimes=self.runtimes,
            audit=self.audit,
        )
        self.objects = MemoryObjectStore()
        self.manifests = ManifestStore(self.objects)
        self.listed = MemoryPoints(self.store)
        self.points = make_point_services(
            points=self.listed,
            files=PointFiles(store=self.objects, manifests=self.manifests, clock=self.tick),
            store=self.workspace_store,
            containers=self.containers,
            saves=self.files,
            saver=self.workspaces.saver,
            feed=self.feed,
            clock=lambda: NOW,
            audit=self.audit,
        )

    def tick(self) -> datetime:
        """Another time at each call: two manifests with the same files are two points."""
        self.now_s += 1
        return NOW + timedelta(seconds=self.now_s)

    async def recovery_point(
        self, workspace: Workspace, *entries: Entry, event_number: int = 0
    ) -> str:
        """Commit a point with these entries, as a save would; return its id."""
        now = self.store.workspaces[workspace.id]
        manifest = Manifest(
            workspace_id=workspace.id,
            parent=now.recovery_point,
            generation=max(now.generation, 1),
            event_number=event_number,
            session_id=None,
            created=self.tick(),
            entries=entries,
        )
        made = await self.manifests.write(workspace.tenant, manifest)
        point = manifest.as_point(PointReason.TURN_END)
        head = WorkspaceHead(made, manifest.generation, event_number, point)
        self.listed.add(workspace.id, head)
        return made

    async def workspace(self, tenant: str = "default") -> Workspace:
        """Make a workspace without a conversation."""
        made = await self.workspaces.workspaces.create(tenant=tenant, policy="default")
        return made.workspace

    async def conversation(
        self, kind: ConversationKind = ConversationKind.AGENT, tenant: str = "default"
    ) -> Conversation:
        return await self.conversations.create(
            tenant=tenant, kind=kind, policy="default", options=AgentOptions()
        )

    async def turn(
        self, conversation: Conversation, text: str = "hello"
    ) -> list[ConversationEvent]:
        """Run one turn to its end and return its events."""
        first = await self.service.start_turn(
            tenant=conversation.tenant, conversation_id=conversation.id, text=text
        )
        return await self.rest_of_turn(first)

    async def rest_of_turn(self, first: ConversationEvent) -> list[ConversationEvent]:
        return [
            event
            async for event in self.feed.follow(
                first.conversation_id, after=first.id - 1, until_turn=first.turn
            )
        ]


def types(events: Sequence[ConversationEvent]) -> list[str]:
    return [event.type for event in events]
