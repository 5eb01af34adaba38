"""What a storm does to the site, each with the real processes. Each says whom it hit."""

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from redis.exceptions import RedisError
from tests.chaos.hits import GONE, NOBODY, SILENT
from tests.chaos.schedule import Kind
from tests.chaos.site import Site
from tests.engine import EngineStartError
from tests.redis_server import RedisServer

ENGINE_STARTS: Final = 5
"""As an init system would."""

REDIS_TIMEOUT_S: Final = 5.0
"""For one that may stand still just now."""

Begin = Callable[[Site, int], str]
End = Callable[[Site], str]


@dataclass(frozen=True, slots=True)
class Disturbance:
    """`begin` strikes; `end` brings back what was away, after `holds_s`."""

    begin: Begin
    end: End | None = None
    holds_s: tuple[float, float] | None = None


def _pick(site_pick: int, found: Sequence[str]) -> str | None:
    return found[site_pick % len(found)] if found else None


def _kill(pids: Sequence[int], number: signal.Signals = signal.SIGKILL) -> str:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
    return f"{number.name} to {[*pids]}" if pids else NOBODY


def _a_container(site: Site, pick: int) -> str | None:
    with suppress(OSError, subprocess.SubprocessError):
        return _pick(pick, site.containers())
    return None


def kill_container(site: Site, pick: int) -> str:
    container = _a_container(site, pick)
    if container is None:
        return NOBODY
    try:
        site.docker("kill", container)
    except subprocess.SubprocessError:
        return f"{container} {GONE}: it has gone, or is frozen"
    return container


def _inside(site: Site, pick: int, word: str) -> str:
    """Kill the processes of a container whose command line has the word."""
    container = _a_container(site, pick)
    if container is None:
        return NOBODY
    try:
        lines = site.docker("top", container, "-eo", "pid,args").splitlines()[1:]
    except subprocess.SubprocessError:
        return NOBODY
    found = [int(line.split()[0]) for line in lines if word in line.partition(" ")[2]]
    return f"{container}: {_kill(found)}"


def kill_init(site: Site, pick: int) -> str:
    container = _a_container(site, pick)
    if container is None:
        return NOBODY
    with suppress(subprocess.SubprocessError):
        pid = int(site.docker("inspect", "--format", "{{.State.Pid}}", container))
        return f"{container}: {_kill([pid] if pid else [])}"
    return NOBODY


def kill_container_and_init(site: Site, pick: int) -> str:
    """Kill the init, and tell the engine to kill the container while it learns of that."""
    return f"{kill_init(site, pick)}; {kill_container(site, pick)}"


def kill_processes(modules: Sequence[str], site: Site, pick: int) -> str:
    """Kill what runs these modules, all at once."""
    return _kill([pid for module in modules for pid in site.struck(pick).processes(module)])


def freeze_process(module: str, site: Site, pick: int) -> str:
    found = site.struck(pick).processes(module)
    site.frozen.extend(found)
    return _kill(found, signal.SIGSTOP)


def thaw_processes(site: Site) -> str:
    """Let those go on that were frozen, whoever is their parent by now."""
    told = _kill(site.frozen, signal.SIGCONT)
    site.frozen.clear()
    return told


def kill_all(site: Site, pick: int) -> str:
    struck = site.struck(pick)
    struck.kill_all()
    site.begin(struck)
    return "all processes of the installation"


def kill_supervisor(site: Site, pick: int) -> str:
    struck = site.struck(pick)
    told = _kill([struck.server.pid])
    struck.server.stop()
    site.begin(struck)
    return told


def restart(site: Site, pick: int) -> str:
    struck = site.struck(pick)
    code = site.stop(struck)
    site.begin(struck)
    return f"stopped with exit code {code}, and started"


def stop_engine(site: Site, pick: int) -> str:
    if site.engine.pid is None:
        return NOBODY
    site.engine.stop()
    return "stopped"


def kill_engine(site: Site, pick: int) -> str:
    if site.engine.pid is None:
        return NOBODY
    site.engine.kill()
    return "killed"


def start_engine(site: Site) -> str:
    """Start it, again where it gives up: it waits 10 s for a containerd on a busy machine."""
    for attempt in range(1, ENGINE_STARTS):
        if site.engine.pid is not None:
            return "it is back"
        try:
            site.engine.start()
        except EngineStartError:
            continue
        return f"it is back, at attempt {attempt}"
    site.engine.start()
    return "it is back, at the last attempt"


def kill_store(site: Site, pick: int) -> str:
    site.store.kill()
    return "killed"


def start_store(site: Site) -> str:
    site.store.start()
    return "it is back"


def freeze_store(site: Site, pick: int) -> str:
    site.store.freeze()
    return "stopped in its tracks"


def thaw_store(site: Site) -> str:
    site.store.thaw()
    return "it goes on"


def _redis(site: Site) -> RedisServer:
    if site.redis is None:
        raise RuntimeError("this storm has no Redis")
    return site.redis


def kill_redis(site: Site, pick: int) -> str:
    _redis(site).kill()
    return "killed, with all that it knew"


def start_redis(site: Site) -> str:
    _redis(site).start()
    return "it is back, and empty"


def freeze_redis(site: Site, pick: int) -> str:
    if _redis(site).process is None:
        return NOBODY
    _redis(site).stop()
    return "stopped in its tracks"


def thaw_redis(site: Site) -> str:
    if _redis(site).process is None:
        return NOBODY
    _redis(site).go_on()
    return "it goes on"


def empty_redis(site: Site, pick: int) -> str:
    try:
        # one that stands still is left alone: the storm does not wait for it
        with _redis(site).client(timeout_s=REDIS_TIMEOUT_S) as client:
            client.flushall()
    except RedisError:
        return f"it {SILENT}"
    return "it has forgotten everything"


HOST: Final = "hakoiri.host"
PROXY: Final = "hakoiri.credential_proxy"
GUARD: Final = "hakoiri.docker_guard"
KEEPER: Final = "hakoiri.audit"

DISTURBANCES: Final[dict[str, Disturbance]] = {
    "container": Disturbance(kill_container),
    "container's init": Disturbance(kill_init),
    "container with init": Disturbance(kill_container_and_init),
    "agent": Disturbance(lambda site, pick: _inside(site, pick, "workspace_agent")),
    "agent's CLI": Disturbance(lambda site, pick: _inside(site, pick, "claude")),
    "server": Disturbance(partial(kill_processes, (HOST,))),
    # for less and for more than a lease (`site.SETTINGS`)
    "server stands still": Disturbance(partial(freeze_process, HOST), thaw_processes, (1.0, 12.0)),
    "proxy": Disturbance(partial(kill_processes, (PROXY,))),
    "guard": Disturbance(partial(kill_processes, (GUARD,))),
    "proxy with guard": Disturbance(partial(kill_processes, (PROXY, GUARD))),
    "audit keeper": Disturbance(partial(kill_processes, (KEEPER,))),
    "all processes": Disturbance(kill_all),
    "supervisor": Disturbance(kill_supervisor),
    "restart": Disturbance(restart),
    "engine stopped": Disturbance(stop_engine, start_engine, (1.0, 6.0)),
    "engine killed": Disturbance(kill_engine, start_engine, (0.0, 4.0)),
    "store killed": Disturbance(kill_store, start_store, (1.0, 10.0)),
    "store frozen": Disturbance(freeze_store, thaw_store, (2.0, 12.0)),
    "redis killed": Disturbance(kill_redis, start_redis, (0.0, 8.0)),
    "redis frozen": Disturbance(freeze_redis, thaw_redis, (1.0, 8.0)),
    "redis emptied": Disturbance(empty_redis),
}
"""All there are, by name. Another service's go here (`site.py` starts it)."""

KINDS: Final = tuple(Kind(name, one.holds_s) for name, one in DISTURBANCES.items())
REDIS: Final = "redis"


class UnknownKindError(ValueError):
    """Nothing is struck by that name; the message has those that are."""


def kinds_of(*, is_shared: bool, only: Sequence[str] = ()) -> tuple[Kind, ...]:
    """Return what a storm may bring, all or `only` some: Redis is struck only where there is one.

    Raises `UnknownKindError`.
    """
    wanted = {kind.name for word in only for kind in kinds_by(word)}
    return tuple(
        kind
        for kind in KINDS
        if (not only or kind.name in wanted) and (is_shared or not kind.name.startswith(REDIS))
    )


def kinds_by(word: str) -> tuple[Kind, ...]:
    """Return the kind of this name as a command line has it, or all that begin with this word.

    `agents-cli` is the agent's CLI; `store` is all that is done to the store. Raises
    `UnknownKindError`.
    """
    named = tuple(kind for kind in KINDS if word in (kind.name, slug(kind)))
    begun = tuple(kind for kind in KINDS if slug(kind).startswith(f"{word}-"))
    if not named and not begun:
        known = ", ".join(map(slug, KINDS))
        raise UnknownKindError(f"nothing is struck by the name {word!r}; there is {known}")
    return named or begun


def slug(kind: Kind) -> str:
    """Return a kind's name as a command line has it."""
    return kind.name.lower().replace("'", "").replace(" ", "-")
