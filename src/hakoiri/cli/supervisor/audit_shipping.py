"""The shipper: root's file that says where the log goes, its directories, its process."""

import os
import stat
from pathlib import Path
from typing import Final

from hakoiri.audit.launch import HEADS
from hakoiri.audit.shipping.configuration import (
    FileTarget,
    ShipFile,
    ShipFileError,
    ShipLaunch,
    parse_ship_file,
)
from hakoiri.cli.supervisor.audit_ground import AuditGround
from hakoiri.cli.supervisor.preparation import Account, Ground, PreparationError, account
from hakoiri.cli.supervisor.process import ProcessSpec
from hakoiri.cli.supervisor.processes import SHIP_STATUS, passed_on
from hakoiri.host.settings import Settings

FILE_LIMIT_BYTES: Final = 64 * 1024
SETTING: Final = "HAKOIRI_AUDIT__SHIP_FILE"
_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def read_ship_file(path: Path, *, owner_uid: int = 0) -> ShipFile:
    """Read where the log goes; `PreparationError` tells what is wrong, never a secret."""
    try:
        descriptor = os.open(path, _OPEN)
    except OSError as error:
        raise PreparationError(f"{SETTING}: cannot read {path}: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if status.st_uid != owner_uid or stat.S_IMODE(status.st_mode) & 0o077:
            raise PreparationError(
                f"{SETTING}: {path} may hold secrets: make it root's alone (chown root, chmod 600)"
            )
        content = file.read(FILE_LIMIT_BYTES + 1)
    if len(content) > FILE_LIMIT_BYTES:
        raise PreparationError(f"{SETTING}: {path} is over {FILE_LIMIT_BYTES} bytes")
    try:
        return parse_ship_file(content.decode("utf-8"))
    except (ShipFileError, UnicodeDecodeError) as error:
        raise PreparationError(f"{SETTING}: {path}: {error}") from error


def shipper_process(settings: Settings, ground: Ground, audit: AuditGround) -> ProcessSpec | None:
    """Return the shipper, its directories made; None if the log is copied nowhere.

    Raises `PreparationError`.
    """
    path = settings.audit.ship_file
    if path is None:
        return None
    targets = read_ship_file(path)
    shipper = make_shippers_places(settings, ground, audit)
    return shipper_spec(settings, ground, audit, targets=targets, shipper=shipper)


def make_shippers_places(settings: Settings, ground: Ground, audit: AuditGround) -> Account:
    """Make the directories that the shipper writes; return its user. `PreparationError`."""
    shipper = account(settings.users.audit_shipper)
    status_file = ground.run_dir / SHIP_STATUS
    try:
        _directory(audit.shipper, shipper, shipper.gid, 0o700)
        # set-group-id: what it tells there, the server's group may read
        _directory(status_file.parent, shipper, ground.server.gid, 0o2750)
    except OSError as error:
        raise PreparationError(f"cannot prepare the shipper's directories: {error}") from error
    return shipper


def shipper_spec(
    settings: Settings, ground: Ground, audit: AuditGround, *, targets: ShipFile, shipper: Account
) -> ProcessSpec:
    """Return the process: it reads all chains by the keeper's group, and takes no request."""
    status_file = ground.run_dir / SHIP_STATUS
    launch = ShipLaunch(
        instance=ground.instance,
        # heads first: the lines that they vouch for are there by then, and follow them
        chains={HEADS: audit.heads, **audit.chains},
        state_dir=audit.shipper,
        status_file=status_file,
        targets=targets.target,
    )
    return ProcessSpec(
        name="audit_shipper",
        arguments=("-m", "hakoiri.audit.shipping"),
        uid=shipper.uid,
        gid=shipper.gid,
        # the keeper's group, by which the chains are read; the server's, to pass the run directory
        groups=(ground.keeper.gid, ground.server.gid),
        environment=passed_on(),
        hidden=(settings.data_dir, ground.proxy_dir, ground.guard_dir, audit.keeper),
        shown=(
            audit.root,
            status_file.parent,
            *(one.directory for one in targets.target if isinstance(one, FileTarget)),
        ),
        standard_input=launch.model_dump_json().encode(),
    )


def _directory(path: Path, owner: Account, gid: int, mode: int) -> None:
    path.mkdir(exist_ok=True)
    os.chown(path, owner.uid, gid, follow_symlinks=False)
    path.chmod(mode)
