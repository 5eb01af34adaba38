"""One container from nothing to healthy, and from whatever it is to gone.

Each step is bounded in time. A start that fails anywhere leaves nothing behind.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from hakoiri.host.begun_work import both, to_its_end
from hakoiri.host.containers.hardening import ContainerSpec, engine_configuration
from hakoiri.host.containers.model import (
    ContainerDirectories,
    ContainerState,
    advance,
    new_container_id,
)
from hakoiri.host.containers.ports import (
    AgentConnection,
    AgentConnector,
    AgentUnreachableError,
    ContainerEndedError,
    ContainerEngine,
    ContainersError,
    ContainerStartError,
    EngineAwayError,
    ProxyControl,
)
from hakoiri.host.telemetry.container_metrics import NoTally, StartKind, StartTally, tallied
from hakoiri.tracing.spans import spanned
from hakoiri.wire.guard import engine_name
from hakoiri.wire.messages import Runtime

HEALTH_POLL_S = 0.02
ALIVE_CHECK_EVERY = 25
"""Every so many health polls, ask the engine whether the container still runs."""

STEP_TIMEOUT_S = 60.0
"""One step of a removal; the engine's own force-remove takes well under a second."""

ADOPTION_TIMEOUT_S = 10.0
"""An agent that runs already answers within this, on a machine that starts much else."""

log = structlog.get_logger(__name__)

Prepare = Callable[[ContainerDirectories], Awaitable[None]]
Sleep = Callable[[float], Awaitable[None]]


class MakeSpec(Protocol):
    """Completes a container's spec."""

    def __call__(self, container_id: str, runtime: Runtime | None = None) -> ContainerSpec:
        """Return the whole spec; without a runtime, the one that the settings name."""


@dataclass(slots=True)
class StartedContainer:
    """A container of ours and what belongs to it on this host."""

    container_id: str
    state: ContainerState
    directories: ContainerDirectories
    agent: AgentConnection | None = None
    may_be_frozen: bool = False
    """An engine that broke off was asked to freeze it: it may have, and nobody was told."""

    def advance(self, to: ContainerState) -> None:
        """Go to the next state, if the table allows it."""
        self.state = advance(self.state, to)


class Lifecycle:
    """Starts and removes containers through the engine and the proxy."""

    def __init__(
        self,
        *,
        engine: ContainerEngine,
        proxy: ProxyControl,
        agents: AgentConnector,
        make_spec: MakeSpec,
        instance: str,
        start_timeout_s: float,
        stop_grace_s: float,
        sleep: Sleep = asyncio.sleep,
        starts: StartTally | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Work for the instance; `sleep` is the wait between two health polls."""
        self._engine = engine
        self._proxy = proxy
        self._agents = agents
        self._make_spec = make_spec
        self._instance = instance
        self._start_timeout_s = start_timeout_s
        self._stop_grace_s = stop_grace_s
        self._sleep = sleep
        self._starts = starts or NoTally()
        self._clock = clock
        self._in_hand: set[str] = set()
        self._left_over: set[str] = set()

    def new_container_id(self) -> str:
        """Return an id for a container of this server."""
        return new_container_id(self._instance)

    def in_hand(self) -> frozenset[str]:
        """Return all that this server started or adopted and has not removed: live, warm, or such.

        Also what it is about to start or to remove: the collector touches none of it.
        """
        return frozenset(self._in_hand)

    def left_over(self) -> frozenset[str]:
        """Return what this server tried to remove and could not, as far as it knows."""
        return frozenset(self._left_over)

    async def present(self) -> frozenset[str]:
        """Return every id for which there is a container of ours, directories, or a socket."""
        listed = await self._engine.list_ours(self._instance)
        return frozenset(
            {member.container_id for member in listed}
            | set(await self._engine.list_boxes())
            | await self._proxy.open_sockets()
        )

    async def start(
        self,
        container_id: str,
        *,
        prepare: Prepare,
        runtime: Runtime | None = None,
        kind: StartKind = "cold",
    ) -> StartedContainer:
        """Start a container and fill its directories meanwhile; return it healthy.

        `kind` says for whom. Raises `ContainersError`, or what `prepare` raises, and leaves nothing
        behind.
        """
        with tallied(self._starts, kind, clock=self._clock):
            return await self._start_or_discard(container_id, prepare, runtime)

    @spanned("container start")
    async def _start_or_discard(
        self, container_id: str, prepare: Prepare, runtime: Runtime | None
    ) -> StartedContainer:
        self._in_hand.add(container_id)
        try:
            async with asyncio.timeout(self._start_timeout_s):
                return await self._start(container_id, prepare, runtime)
        except TimeoutError:
            await self.discard(container_id)
            raise ContainerStartError(
                f"the container was not healthy within {self._start_timeout_s:g} s; the engine's "
                "log may say why, HAKOIRI_CONTAINER__START_TIMEOUT_S allows it more"
            ) from None
        except BaseException:
            await self.discard(container_id)
            raise

    async def _start(
        self, container_id: str, prepare: Prepare, runtime: Runtime | None
    ) -> StartedContainer:
        box = await to_its_end(self._engine.make_box(container_id))
        container = StartedContainer(
            container_id, ContainerState.CREATING, ContainerDirectories.of(box)
        )

        async def prepared() -> None:
            await prepare(container.directories)

        try:
            await both(prepared(), self._bring_up(container, runtime))
        except BaseException:
            if container.agent is not None:
                await container.agent.close()
            raise
        return container

    async def _bring_up(self, container: StartedContainer, runtime: Runtime | None) -> None:
        name = engine_name(container.container_id)
        await to_its_end(self._proxy.open_socket(container.container_id))
        spec = self._make_spec(container.container_id, runtime)
        await to_its_end(self._engine.create(name=name, config=engine_configuration(spec)))
        container.advance(ContainerState.STARTING)
        await to_its_end(self._engine.start(name))
        container.agent = self._agents.connect(container.directories.agent)
        await self._until_healthy(name, container.agent)
        container.advance(ContainerState.HEALTHY)

    async def _until_healthy(self, name: str, agent: AgentConnection) -> None:
        polls = 0
        while True:
            try:
                await agent.health()
            except AgentUnreachableError:
                polls += 1
                if polls % ALIVE_CHECK_EVERY == 0 and not await self._engine.is_running(name):
                    reason = await self._engine.exit_reason(name)
                    raise ContainerEndedError(
                        f"the container ended before it was healthy: {reason}"
                    ) from None
                await self._sleep(HEALTH_POLL_S)
            else:
                return

    async def running(self) -> dict[str, Runtime]:
        """Return the containers of our instance that run, frozen or not, with their runtimes."""
        listed = await self._engine.list_ours(self._instance)
        return {member.container_id: member.runtime for member in listed if member.running}

    async def directories_of(self, container_id: str) -> ContainerDirectories | None:
        """Return where a container's directories are; None if they are gone."""
        box = await self._engine.find_box(container_id)
        return ContainerDirectories.of(box) if box is not None else None

    async def adopt(self, container_id: str) -> StartedContainer:
        """Take over a container that runs already, healthy and able to be claimed.

        Raises `ContainersError` if it has no directories or its agent does not answer in time.
        """
        directories = await self.directories_of(container_id)
        if directories is None:
            raise ContainersError("its directories are gone")
        name = engine_name(container_id)
        await self._engine.unpause(name)
        agent = self._agents.connect(directories.agent)
        try:
            async with asyncio.timeout(ADOPTION_TIMEOUT_S):
                await self._until_healthy(name, agent)
        except BaseException as error:
            await agent.close()
            if isinstance(error, TimeoutError | ContainersError):
                raise AgentUnreachableError(f"its agent does not answer: {error}") from error
            raise
        self._in_hand.add(container_id)
        return StartedContainer(container_id, ContainerState.HEALTHY, directories, agent)

    def keep_lost(self, container_id: str, directories: ContainerDirectories) -> StartedContainer:
        """Take in hand what is left of a container that has ended: its directories."""
        self._in_hand.add(container_id)
        return StartedContainer(container_id, ContainerState.HALTED, directories)

    async def freeze(self, container: StartedContainer) -> None:
        """Freeze all that runs in a claimed container; `ContainersError` if that cannot be done.

        Given up meanwhile, it is known all the same whether it is frozen.
        """
        await to_its_end(self._freeze(container))

    async def _freeze(self, container: StartedContainer) -> None:
        try:
            await self._engine.pause(engine_name(container.container_id))
        except EngineAwayError:
            container.may_be_frozen = True
            raise
        container.advance(ContainerState.PAUSED)

    async def thaw(self, container: StartedContainer) -> None:
        """Let a frozen container run again; nothing happens if it is not frozen."""
        await to_its_end(self._thaw(container))

    async def _thaw(self, container: StartedContainer) -> None:
        if container.state is ContainerState.PAUSED:
            await self._engine.unpause(engine_name(container.container_id))
            container.advance(ContainerState.CLAIMED)
        elif container.may_be_frozen and not await _answers(container.agent):
            await self._engine.unpause(engine_name(container.container_id))
        container.may_be_frozen = False

    async def kill(self, container_id: str) -> None:
        """Cut the container's way out and end all that runs in it; its directories stay.

        Raises `ContainersError` if the engine does not say that it has ended.
        """
        await self._step("close its proxy socket", self._proxy.close_socket(container_id))
        await self._engine.stop(engine_name(container_id), grace_s=0)

    async def halt(self, container: StartedContainer) -> None:
        """Kill what runs in a lost container, so that its directories hold still.

        Container and directories stay, for `stop` to remove. Raises `ContainersError` if the
        engine does not say that it has ended; may be tried again.
        """
        if container.agent is not None:
            await container.agent.close()
        await self.kill(container.container_id)
        if container.state is not ContainerState.HALTED:
            container.advance(ContainerState.HALTED)

    async def stop(self, container: StartedContainer) -> None:
        """Cut its way out, let it end within the grace, remove all that belongs to it.

        One whose removal is given up half-way is in nobody's hand any more: the collector finds it.
        """
        was_frozen = container.state is ContainerState.PAUSED or container.may_be_frozen
        container.advance(ContainerState.STOPPING)
        try:
            if container.agent is not None:
                await container.agent.close()
            await self._end(container.container_id, was_frozen=was_frozen)
        except BaseException:
            self._leave_over(container.container_id)
            raise
        await self.discard(container.container_id)
        container.advance(ContainerState.GONE)

    async def _end(self, container_id: str, *, was_frozen: bool) -> None:
        await self._step("close its proxy socket", self._proxy.close_socket(container_id))
        name = engine_name(container_id)
        grace_s = self._stop_grace_s
        if was_frozen:  # or it could not take the signal to end; nothing is to be written any more
            await self._step("thaw it", self._engine.unpause(name))
            grace_s = 0.0
        await self._step("stop it", self._engine.stop(name, grace_s=grace_s))

    async def discard(self, container_id: str) -> None:
        """Remove container, proxy socket and directories, whichever there are.

        Goes on after a failed step and logs it; `look_back`, the collector or the next sweep try
        again, also where it is given up half-way.
        """
        name = engine_name(container_id)
        steps: tuple[tuple[str, Callable[[], Awaitable[None]]], ...] = (
            ("close its proxy socket", lambda: self._proxy.close_socket(container_id)),
            ("remove it", lambda: self._engine.remove(name)),
            ("remove its directories", lambda: self._engine.remove_box(container_id)),
        )
        try:
            done = [await self._step(what, step()) for what, step in steps]
        except BaseException:
            self._leave_over(container_id)
            raise
        if all(done):
            self._left_over.discard(container_id)
            self._in_hand.discard(container_id)
        else:
            self._leave_over(container_id)

    def _leave_over(self, container_id: str) -> None:
        """Take what may be left of a container into nobody's hand, to be removed later."""
        self._left_over.add(container_id)
        self._in_hand.discard(container_id)

    async def look_back(self) -> None:
        """See that engine, guard and proxy answer, then remove what they were too away to remove.

        Raises `EngineAwayError`, `ProxyAwayError` or another `ContainersError`.
        """
        present = await self.present()
        for container_id in self._left_over & present:
            await self.discard(container_id)
        self._left_over &= present

    async def _step(self, what: str, step: Awaitable[None]) -> bool:
        """Do one step of a removal; whether that went well."""
        try:
            async with asyncio.timeout(STEP_TIMEOUT_S):
                await step
        except (ContainersError, TimeoutError) as error:
            log.warning("container_removal_incomplete", step=what, reason=str(error))
            return False
        return True

    async def why_lost(self, container_id: str) -> str:
        """Say why the container ended, as far as the engine knows."""
        name = engine_name(container_id)
        try:
            if await self._engine.is_running(name):
                return "it still runs, but its agent does not answer"
            return await self._engine.exit_reason(name)
        except ContainersError as error:
            return str(error)

    async def sweep(self, *, keep: frozenset[str]) -> list[str]:
        """Remove all of our instance (by label, or by directory) but what is to be kept.

        Returns the ids of the containers removed.
        """
        found = {member.container_id for member in await self._engine.list_ours(self._instance)}
        found |= set(await self._engine.list_boxes())
        gone = sorted(found - keep)
        for container_id in gone:
            await self.discard(container_id)
        return gone


async def _answers(agent: AgentConnection | None) -> bool:
    try:
        return agent is not None and await agent.health() is not None
    except ContainersError:
        return False
