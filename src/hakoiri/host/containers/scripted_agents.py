"""Agents that do as a test tells them, and what connects to them."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hakoiri.host.containers.ports import (
    AgentConnection,
    AgentUnreachableError,
)
from hakoiri.wire.agent import AgentHealth, AgentOptions, RunTurn
from hakoiri.wire.command import CommandFrame, RunCommand
from hakoiri.wire.events import AgentEvent
from hakoiri.wire.probe import ProbeFinding, ProbeReport, ProbeRequest


@dataclass
class ScriptedAgent:
    """An agent that answers as told: `unhealthy` health calls fail first, then turns are played."""

    unhealthy: int = 0
    dead: bool = False
    script: Iterable[tuple[int, AgentEvent] | Exception] = ()
    acknowledged: list[int] = field(default_factory=list)
    interrupted: list[str] = field(default_factory=list)
    requests: list[RunTurn] = field(default_factory=list)
    commands: Iterable[tuple[int, CommandFrame] | Exception] = ()
    asked: list[RunCommand] = field(default_factory=list)
    ended: list[RunCommand] = field(default_factory=list)
    closed: bool = False
    connected: list[AgentOptions] = field(default_factory=list)

    async def health(self) -> AgentHealth:
        """Answer, or fail while it is not yet healthy or dead."""
        if self.dead or self.unhealthy > 0:
            self.unhealthy -= 1
            raise AgentUnreachableError("no answer")
        return AgentHealth(state="ready", version="0")

    async def run_turn(self, request: RunTurn) -> AsyncIterator[tuple[int, AgentEvent]]:
        """Play the script from its beginning."""
        self.requests.append(request)
        for step in self.script:
            if isinstance(step, Exception):
                raise step
            yield step

    async def resume_stream(
        self, turn_id: str, *, after: int
    ) -> AsyncIterator[tuple[int, AgentEvent]]:
        """Play the events of the script that come after `after`."""
        del turn_id
        for step in self.script:
            if not isinstance(step, Exception) and step[0] > after:
                yield step

    async def acknowledge(self, turn_id: str, seq: int) -> None:
        """Remember it."""
        del turn_id
        self.acknowledged.append(seq)

    async def interrupt(self, turn_id: str) -> None:
        """Remember it."""
        self.interrupted.append(turn_id)

    async def connect(self, options: AgentOptions) -> None:
        """Remember the options, or fail when dead."""
        if self.dead:
            raise AgentUnreachableError("no answer")
        self.connected.append(options)

    async def disconnect(self) -> None:
        """Forget them, or fail when dead."""
        if self.dead:
            raise AgentUnreachableError("no answer")
        self.connected.clear()

    @asynccontextmanager
    async def run_command(
        self, request: RunCommand
    ) -> AsyncIterator[AsyncIterator[tuple[int, CommandFrame]]]:
        """Play the frames of `commands`, from the first on."""
        self.asked.append(request)
        if self.dead:
            raise AgentUnreachableError("no answer")

        async def frames() -> AsyncIterator[tuple[int, CommandFrame]]:
            for step in self.commands:
                if isinstance(step, Exception):
                    raise step
                yield step

        try:
            yield frames()
        finally:
            self.ended.append(request)

    async def probe(self, request: ProbeRequest) -> ProbeReport:
        """Find everything refused."""
        found = ProbeFinding(name="everything", result="refused", how=request.runtime)
        return ProbeReport(findings=[found], processor_s=0.5)

    async def close(self) -> None:
        """Remember it."""
        self.closed = True


@dataclass
class ScriptedAgents:
    """Hands out agents made by `make`, one a container, and keeps them by directory."""

    make: Callable[[], ScriptedAgent] = ScriptedAgent
    by_directory: dict[Path, ScriptedAgent] = field(default_factory=dict)

    def connect(self, socket_directory: Path) -> AgentConnection:
        """Return a new agent."""
        agent = self.make()
        self.by_directory[socket_directory] = agent
        return agent
