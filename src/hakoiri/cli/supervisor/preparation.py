"""What must be on this machine before the first process starts: users, directories, a lock."""

import fcntl
import os
import pwd
import re
import secrets
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import hakoiri
from hakoiri.cli.supervisor.audit_ground import (
    GUARD_CHAIN,
    OPERATOR_CHAIN,
    PROXY_CHAIN,
    SERVER_CHAIN,
    AuditGround,
    audit_ground,
    make_directories,
    make_operator_directory,
)
from hakoiri.docker_guard.kernel_mounts import (
    MS_NODEV,
    MS_NOSUID,
    MS_PRIVATE,
    MS_SHARED,
    bind,
    detach_below,
    is_mounted,
    mount,
)
from hakoiri.host.settings import Settings

RUN_ROOT = Path("/run/hakoiri")
KERNEL_LOG = Path("/dev/kmsg")
INSTANCE_FILE = "instance"
INSTANCE = re.compile(r"[0-9a-f]{12}")
LOCK_FILE = "lock"
LOCK_TIMEOUT_S: Final = 15.0
"""How long the end of an earlier server is waited for: of one whose supervisor was killed, say."""

LOCK_POLL_S: Final = 0.1
NO_LOCK = -1
"""Of who only needs to know where things are."""

KEEPER_TELLS = "keeper"
"""Where in the run directory the audit log's keeper tells how far it got."""

DISKS_SUFFIX = ".disks"
SOCKET_PATH_LIMIT = 100
"""Bytes; the kernel allows 107 in `sun_path`."""


class PreparationError(Exception):
    """This machine is not ready; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """A system user and its own group."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Ground:
    """What was prepared. `lock` is held as long as it is open; `audit` is None if none is kept."""

    instance: str
    run_dir: Path
    proxy_dir: Path
    proxy_state_dir: Path
    guard_dir: Path
    audit_dir: Path
    tree: Path
    disks: Path
    server: Account
    proxy: Account
    guard: Account
    keeper: Account
    reader: Account
    audit: AuditGround | None
    lock: int


def code_directories() -> tuple[Path, ...]:
    """Return where interpreter and code lie; `PreparationError` if only root can read them."""
    package = Path(hakoiri.__path__[0])
    for file in (package / "py.typed", Path(sys.executable).resolve()):
        if not file.stat().st_mode & 0o004:
            raise PreparationError(
                f"other users cannot read {file}, but Hakoiri's processes run as such; "
                f"run `chmod -R go+rX {file.parent}`"
            )
    return tuple(sorted({Path(sys.prefix), Path(sys.base_prefix), package}))


def require_root() -> None:
    """Raise `PreparationError` unless this is Linux and we are root."""
    if sys.platform != "linux":
        raise PreparationError("Hakoiri runs on Linux only")
    if os.geteuid() != 0:
        raise PreparationError(
            "hakoiri serve needs root, to start its processes as users of their own; "
            "run it with sudo"
        )


def prepare(settings: Settings) -> Ground:
    """Make directories and the instance's id, take the lock; raise `PreparationError`."""
    server = account(settings.users.server)
    try:
        data_dir = _data_directory(settings.data_dir, server)
        instance = instance_id(data_dir / INSTANCE_FILE)
        lock = take_lock(data_dir / LOCK_FILE, wait_s=LOCK_TIMEOUT_S)
        require_free_port(settings.host, settings.port)
        ground = lay_out(settings, instance, lock=lock)
        make_places(settings, ground)
        for directory in (ground.tree, ground.disks):
            _share(directory)
    except OSError as error:
        raise PreparationError(f"cannot prepare the directories: {error}") from error
    return ground


def lay_out(settings: Settings, instance: str, *, lock: int = NO_LOCK) -> Ground:
    """Say where everything of the instance is and whose; nothing is made.

    Raises `PreparationError`.
    """
    users = settings.users
    run_dir = settings.run_dir or RUN_ROOT / instance
    _check_length(run_dir)
    live_dir = _live_directory(settings)
    return Ground(
        instance=instance,
        run_dir=run_dir,
        proxy_dir=run_dir / "proxy",
        proxy_state_dir=settings.proxy.state_dir / instance,
        guard_dir=run_dir / "guard",
        audit_dir=run_dir / "audit",
        tree=live_dir / instance,
        disks=live_dir / f"{instance}{DISKS_SUFFIX}",
        server=account(users.server),
        proxy=account(users.proxy),
        guard=account(users.guard),
        keeper=account(users.audit),
        reader=account(users.audit_reader),
        audit=audit_ground(settings, instance),
        lock=lock,
    )


def make_places(settings: Settings, ground: Ground) -> None:
    """Make the directories that are missing, and set whose they all are. Raises `OSError`."""
    server, proxy, guard, reader = ground.server, ground.proxy, ground.guard, ground.reader
    _directory(ground.run_dir, 0, server.gid, 0o750)
    # set-group-id: the control socket made in it belongs to the server's group
    _directory(ground.proxy_dir, proxy.uid, server.gid, 0o2750)
    _directory(ground.guard_dir, guard.uid, server.gid, 0o2750)
    _directory(ground.audit_dir, reader.uid, server.gid, 0o2750)
    settings.proxy.state_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
    _directory(ground.proxy_state_dir, proxy.uid, proxy.gid, 0o700)
    ground.tree.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    for directory in (ground.tree, ground.disks):
        _directory(directory, 0, 0, 0o700)
    if ground.audit is not None:
        # set-group-id: what the keeper tells there, the server's group may read
        _directory(ground.run_dir / KEEPER_TELLS, ground.keeper.uid, server.gid, 0o2750)
        make_directories(
            ground.audit,
            writers={SERVER_CHAIN: server.uid, PROXY_CHAIN: proxy.uid, GUARD_CHAIN: guard.uid},
            keeper_uid=ground.keeper.uid,
            keeper_gid=ground.keeper.gid,
        )


def has_boxes(ground: Ground) -> bool:
    """Whether directories of containers are left, which may hold the only copy of files.

    They stay as they are, mounts and sockets too: the next start adopts, saves or removes them.
    """
    return any(
        next(directory.iterdir(), None) is not None
        for directory in (ground.disks, ground.tree)
        if directory.exists()
    )


def clear(ground: Ground) -> None:
    """Take away what there is of live containers, once no process of ours is left."""
    for directory in (ground.disks, ground.tree):
        detach_below(directory)
        with suppress(OSError):  # what could not be removed is left for the next start to sweep
            directory.rmdir()


def _live_directory(settings: Settings) -> Path:
    live_dir = Path(os.path.realpath(settings.guard.live_dir))
    if live_dir.is_relative_to(os.path.realpath(settings.data_dir)):
        raise PreparationError(
            f"HAKOIRI_GUARD__LIVE_DIR: {live_dir} is in the data directory, which is the server's; "
            "name a directory that is root's"
        )
    return live_dir


def _share(path: Path) -> None:
    """Make where the guard mounts for others a mount of its own, which the engine sees.

    What an earlier run left mounted there stays: containers may live in it, which the server
    adopts or removes.
    """
    if is_mounted(path):
        return
    bind(path, path, flags=MS_NOSUID | MS_NODEV)
    # out of the peer group of what it was bound from, into one of its own
    mount(None, path, flags=MS_PRIVATE)
    mount(None, path, flags=MS_SHARED)


def prepare_data_directory(settings: Settings, *, wanted: str | None = None) -> str:
    """Make the data directory and the instance's id, for work without a server; return the id.

    `wanted` is the id where it is made now; a random one by default.
    """
    try:
        directory = _data_directory(settings.data_dir, account(settings.users.server))
        return instance_id(directory / INSTANCE_FILE, wanted=wanted)
    except OSError as error:
        raise PreparationError(
            f"HAKOIRI_DATA_DIR: cannot prepare {settings.data_dir}: {error}"
        ) from error


def operator_chain(settings: Settings, instance: str) -> Path | None:
    """Return where what root does is audited, made if it is missing; None if nothing is audited."""
    ground = audit_ground(settings, instance)
    if ground is None:
        return None
    try:
        make_operator_directory(ground, keeper_gid=account(settings.users.audit).gid)
    except OSError as error:
        raise PreparationError(f"HAKOIRI_AUDIT__DIR: cannot prepare it: {error}") from error
    return ground.chains[OPERATOR_CHAIN]


def account(name: str) -> Account:
    """Look up a system user; raise `PreparationError` if there is none."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise PreparationError(
            f"there is no system user {name}; run `make setup`, or "
            f"`useradd --system --no-create-home --shell /usr/sbin/nologin {name}`"
        ) from None
    if entry.pw_uid == 0:
        raise PreparationError(f"{name} is root; name a user without rights in HAKOIRI_USERS__*")
    return Account(name, entry.pw_uid, entry.pw_gid)


def take_lock(
    path: Path,
    *,
    wait_s: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Return a held lock; wait for the end of whoever has it. `clock` gives monotonic seconds.

    Raises `PreparationError` if another server still has this data directory after `wait_s`.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    deadline_s = clock() + wait_s
    while not _is_taken(descriptor):
        if clock() >= deadline_s:
            os.close(descriptor)
            raise PreparationError(
                f"another hakoiri serve uses {path.parent}; stop it, or set HAKOIRI_DATA_DIR"
            )
        sleep(LOCK_POLL_S)
    return descriptor


def _is_taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def open_kernel_log(path: Path = KERNEL_LOG) -> int | None:
    """Open the kernel's log for what is written from now on; None where that is not allowed.

    Opening needs CAP_SYSLOG, reading nothing: the server inherits the descriptor.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    os.lseek(descriptor, 0, os.SEEK_END)
    return descriptor


def require_free_port(host: str, port: int) -> None:
    """Raise `PreparationError` unless the server can listen there.

    Whoever listens there already would be taken for our server, which only dies.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise PreparationError(
            f"cannot listen on {host}, port {port}: {error.strerror}; "
            "set HAKOIRI_HOST and HAKOIRI_PORT to an address of this machine and a free port"
        ) from error


def instance_id(path: Path, *, wanted: str | None = None) -> str:
    """Return the id of this data directory's instance, made at its first use (or `wanted` then).

    The server can write there and root makes paths of what is read, so no link is followed and
    nothing but an id is taken. Raises `PreparationError`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        made = wanted or secrets.token_hex(6)
        partial = path.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(partial, flags, 0o644), "w", encoding="ascii") as file:
            file.write(made + "\n")
        partial.rename(path)
        return made
    with os.fdopen(descriptor, "rb") as file:
        found = file.read(64).decode("ascii", errors="replace").strip()
    if INSTANCE.fullmatch(found) is None:
        raise PreparationError(f"{path} holds no instance id (12 hex digits); restore or remove it")
    return found


def docker_socket_group(docker_host: str) -> tuple[int, ...]:
    """Return the group that may open the engine's socket, if it is not root's."""
    path = Path(docker_host.removeprefix("unix://"))
    try:
        gid = path.stat().st_gid
    except OSError:
        return ()
    return (gid,) if gid else ()


def _data_directory(path: Path, server: Account) -> Path:
    """Take an empty or new directory, or one that was taken before; never somebody else's."""
    if path.is_dir() and any(path.iterdir()) and not (path / INSTANCE_FILE).exists():
        raise PreparationError(
            f"HAKOIRI_DATA_DIR: {path} holds files that are not Hakoiri's; name an empty directory"
        )
    return _directory(path, server.uid, server.gid, 0o750)


def _directory(path: Path, uid: int, gid: int, mode: int) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    os.chown(path, uid, gid, follow_symlinks=False)
    path.chmod(mode)
    return path


def _check_length(run_dir: Path) -> None:
    longest = len(str(run_dir / "proxy" / ("c" * 17) / "proxy.sock"))
    if longest > SOCKET_PATH_LIMIT:
        raise PreparationError(
            f"HAKOIRI_RUN_DIR is too long: sockets below {run_dir} would have paths of {longest} "
            f"bytes, over {SOCKET_PATH_LIMIT}; name a shorter directory"
        )
