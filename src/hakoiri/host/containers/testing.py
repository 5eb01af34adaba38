"""In-memory stand-ins for the containers room's ports, for tests and for trying things out."""

import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from hakoiri.host.containers.ports import (
    ClaimConflictError,
    ClaimRecord,
    ContainersError,
    EngineAwayError,
    EngineContainer,
    EngineError,
    Gone,
    PolicyRefusedError,
    PoolStoreError,
    ProxyAwayError,
    ProxyControlError,
)
from hakoiri.wire.guard import CONTAINER_GID, CONTAINER_UID, BoxDirectories, CollectedImages
from hakoiri.wire.policy import Policy
from hakoiri.wire.pool import PoolConfiguration


@dataclass
class MemoryEngine:
    """An engine whose containers only exist by name; their directories are real, below `root`.

    `fail` names methods that raise; all of them do while it is `away`.
    """

    root: Path = Path("/nonexistent")
    containers: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    frozen: set[str] = field(default_factory=set)
    fail: set[str] = field(default_factory=set)
    dies_at_start: bool = False
    away: bool = False
    owner_uid: int = CONTAINER_UID
    owner_gid: int = CONTAINER_GID
    old_images: CollectedImages = field(default_factory=CollectedImages)

    def _may(self, method: str) -> None:
        if self.away:
            raise EngineAwayError(f"{method}: the engine is away")
        if method in self.fail:
            raise EngineError(f"{method} fails")

    async def create(self, *, name: str, config: Mapping[str, Any]) -> str:
        """Remember the configuration."""
        self._may("create")
        self.containers[name] = config
        return name

    async def start(self, engine_id: str) -> None:
        """Count it as running, unless containers die at their start."""
        self._may("start")
        if not self.dies_at_start:
            self.running.add(engine_id)

    async def stop(self, engine_id: str, *, grace_s: float) -> None:
        """Count it as ended."""
        del grace_s
        self._may("stop")
        self.running.discard(engine_id)

    async def remove(self, engine_id: str) -> None:
        """Forget it."""
        self._may("remove")
        self.running.discard(engine_id)
        self.frozen.discard(engine_id)
        self.containers.pop(engine_id, None)

    async def pause(self, engine_id: str) -> None:
        """Count it as frozen."""
        self._may("pause")
        if engine_id not in self.running:
            raise EngineError(f"{engine_id} does not run")
        self.frozen.add(engine_id)

    async def unpause(self, engine_id: str) -> None:
        """Count it as frozen no more."""
        self._may("unpause")
        self.frozen.discard(engine_id)

    async def is_running(self, engine_id: str) -> bool:
        """Whether it counts as running."""
        self._may("is_running")
        return engine_id in self.running

    async def exit_reason(self, engine_id: str) -> str:
        """Give one reason for all."""
        return f"exit code 137 of {engine_id}"

    async def list_ours(self, instance: str) -> list[EngineContainer]:
        """All containers whose labels name the instance."""
        self._may("list_ours")
        return [
            EngineContainer(
                name,
                name.removeprefix("hakoiri-"),
                name in self.running,
                config["Labels"].get("hakoiri.runtime", "runc"),
            )
            for name, config in self.containers.items()
            if config["Labels"]["hakoiri.instance"] == instance
        ]

    async def make_box(self, container_id: str) -> BoxDirectories:
        """Make the directories, without mounts."""
        self._may("make_box")
        base = self.root / container_id
        for name in ("workspace", "home", "agent"):
            (base / name).mkdir(parents=True)
        made = await self.find_box(container_id)
        if made is None:
            raise EngineError("the directories are gone already")
        return made

    async def find_box(self, container_id: str) -> BoxDirectories | None:
        """Return its directories, if it has any."""
        base = self.root / container_id
        if not base.exists():
            return None
        return BoxDirectories(
            workspace=f"{base}/workspace",
            home=f"{base}/home",
            agent=f"{base}/agent",
            owner_uid=self.owner_uid,
            owner_gid=self.owner_gid,
        )

    async def remove_box(self, container_id: str) -> None:
        """Remove the directories."""
        self._may("remove_box")
        shutil.rmtree(self.root / container_id, ignore_errors=True)

    async def collect_images(self) -> CollectedImages:
        """Return `old_images`."""
        self._may("collect_images")
        return self.old_images

    async def list_boxes(self) -> list[str]:
        """All that have directories."""
        self._may("list_boxes")
        return sorted(path.name for path in self.root.iterdir()) if self.root.exists() else []

    async def image_id(self, reference: str) -> str:
        """Give a content id made from the reference."""
        return f"sha256:{reference}"

    async def has_user_namespaces(self) -> bool:
        """Whether the owner of boxes is another than the user in them."""
        self._may("has_user_namespaces")
        return self.owner_uid != CONTAINER_UID

    async def check(self, *, runtime: str) -> None:
        """Fail only when told to."""
        del runtime
        self._may("check")


@dataclass
class MemoryProxy:
    """A proxy that remembers which socket is bound to what."""

    sockets: dict[str, tuple[Any, ...] | None] = field(default_factory=dict)
    """By container: workspace, tenant, generation and policy."""

    traces: dict[str, str | None] = field(default_factory=dict)
    refuse: Callable[[Policy], bool] = lambda _: False
    away: bool = False
    life: anyio.Event = field(default_factory=anyio.Event)

    def _may(self) -> None:
        if self.away:
            raise ProxyAwayError("the proxy is away")

    async def open_socket(self, container_id: str) -> Path:
        """Open it, unbound."""
        self._may()
        self.sockets.setdefault(container_id, None)
        return Path("/sockets") / container_id

    async def bind(self, container_id: str, **owner: Any) -> None:
        """Bind it, unless the policy is one to refuse."""
        self._may()
        if container_id not in self.sockets:
            raise ProxyControlError("no such socket")
        await self.open_bound(container_id, **owner)

    async def open_bound(
        self, container_id: str, *, traceparent: str | None = None, **owner: Any
    ) -> None:
        """Open and bind it, unless the policy is one to refuse."""
        self._may()
        if self.refuse(owner["policy"]):
            raise PolicyRefusedError("the policy is too wide")
        names = ("workspace_id", "tenant", "generation", "policy")
        self.sockets[container_id] = tuple(owner[name] for name in names)
        self.traces[container_id] = traceparent

    async def close_socket(self, container_id: str) -> None:
        """Forget it."""
        self._may()
        self.sockets.pop(container_id, None)

    async def open_sockets(self) -> frozenset[str]:
        """All sockets."""
        self._may()
        return frozenset(self.sockets)

    async def bound_sockets(self) -> frozenset[str]:
        """The sockets that speak for somebody."""
        self._may()
        return frozenset(name for name, bound in self.sockets.items() if bound is not None)

    @asynccontextmanager
    async def attached(self) -> AsyncIterator[Gone]:
        """Hold on to the life that it has now."""
        self._may()
        yield self.life.wait

    def die(self) -> None:
        """End, and lose every socket; `away` until it is set back."""
        self.away = True
        self.sockets.clear()
        ended, self.life = self.life, anyio.Event()
        ended.set()

    async def check(self) -> list[str]:
        """Say whether it is away."""
        return ["the proxy is away"] if self.away else []


@dataclass
class MemoryChats:
    """Chats of which some sockets are left over; the proxy may be `away`."""

    left_over: int = 0
    away: bool = False

    async def close_left_over(self) -> int:
        """Close them all."""
        if self.away:
            raise ProxyAwayError("the proxy is away")
        closed, self.left_over = self.left_over, 0
        return closed


@dataclass
class MemoryPoolStore:
    """Keeps the pool's setting in memory; `fails` makes every call raise."""

    kept: PoolConfiguration | None = None
    fails: bool = False

    async def load(self) -> PoolConfiguration | None:
        """Return what was kept."""
        self._may()
        return self.kept

    async def save(self, configuration: PoolConfiguration) -> None:
        """Keep it."""
        self._may()
        self.kept = configuration

    async def clear(self) -> None:
        """Keep nothing."""
        self._may()
        self.kept = None

    def _may(self) -> None:
        if self.fails:
            raise PoolStoreError("the store fails")


@dataclass
class MemoryClaims:
    """Claims in memory."""

    by_container: dict[str, str] = field(default_factory=dict)
    generations: dict[str, int] = field(default_factory=dict)
    filled: set[str] = field(default_factory=set)
    fills: list[str] = field(default_factory=list)
    """Those of which that was told after the claim."""

    away: bool = False
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    """When all of them were made."""

    def _may(self) -> None:
        if self.away:
            raise ContainersError("the database is away")

    async def claim(self, *, container_id: str, workspace_id: str, is_filled: bool = False) -> int:
        """Record it, or refuse a second container for the same workspace."""
        self._may()
        if workspace_id in self.by_container.values():
            raise ClaimConflictError(f"{workspace_id} has a container")
        self.by_container[container_id] = workspace_id
        self.generations[workspace_id] = self.generations.get(workspace_id, 0) + 1
        if is_filled:
            self.filled.add(container_id)
        return self.generations[workspace_id]

    async def fill(self, container_id: str) -> None:
        """Remember it."""
        self.fills.append(container_id)
        self.filled.add(container_id)

    async def release(self, container_id: str) -> None:
        """Forget it."""
        self._may()
        self.by_container.pop(container_id, None)

    async def claimed(self) -> Sequence[ClaimRecord]:
        """All of them."""
        return [
            ClaimRecord(
                container,
                workspace,
                self.generations[workspace],
                self.now,
                is_filled=container in self.filled,
            )
            for container, workspace in self.by_container.items()
        ]
