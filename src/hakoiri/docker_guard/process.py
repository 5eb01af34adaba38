"""The guard as a process: wired in one place, up until it is told to stop."""

import asyncio
import signal
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Final

from hakoiri.audit.writer import AuditLog, ChainWriter, NoAuditLog
from hakoiri.docker_guard.boxes import Boxes
from hakoiri.docker_guard.call_log import CallLog
from hakoiri.docker_guard.call_records import CallRecords
from hakoiri.docker_guard.disks import Disks
from hakoiri.docker_guard.engine_client import EngineClient
from hakoiri.docker_guard.even_memory import keep_memory_even
from hakoiri.docker_guard.listener import Listener, listen_at, start
from hakoiri.docker_guard.processes import Processes
from hakoiri.docker_guard.rules import GuardLaunch
from hakoiri.docker_guard.service import Guard
from hakoiri.garbage import pass_over_what_is_loaded

CHAIN: Final = "guard"
SOCKET_MODE: Final = 0o660
"""The directory's group is the caller's; the caller's user is checked as well."""

STAGE: Final = "stage"
"""Beside the socket: where a mount gets its flags before it is shown."""


def audit_log(directory: Path | None, *, goes_on: bool) -> AbstractContextManager[AuditLog]:
    """Return the guard's chain, to be entered; one that forgets where there is no directory.

    If it `goes_on`, containers are made that cannot be recorded.
    """
    if directory is None:
        return nullcontext(NoAuditLog())
    return ChainWriter(directory, chain=CHAIN, version=version("hakoiri"), goes_on=goes_on)


async def serve(launch: GuardLaunch, *, log: CallLog) -> None:
    """Listen until SIGTERM or SIGINT.

    Raises `OSError` if the socket cannot be made, `AuditError` if the audit log cannot be used.
    """
    keep_memory_even()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        audit = stack.enter_context(audit_log(launch.audit_dir, goes_on=launch.audit_goes_on))
        engine = await stack.enter_async_context(EngineClient(launch.engine))
        stage = launch.socket.with_name(STAGE)
        stage.mkdir(mode=0o700, exist_ok=True)
        boxes = Boxes(
            tree=launch.tree,
            disks=Disks(directory=launch.disks, rules=launch.disk_rules),
            stage=stage,
            proxy_sockets=launch.proxy_sockets,
            proxy_uid=launch.proxy_uid,
        )
        guard = Guard(
            engine=engine, boxes=boxes, rules=launch.rules, processes=Processes(), audit=audit
        )
        listener = Listener(
            carry_out=guard.carry_out,
            client_uids=launch.client_uids,
            records=CallRecords(log=log, audit=audit),
        )
        sock = listen_at(launch.socket, mode=SOCKET_MODE)
        stack.callback(launch.socket.unlink, missing_ok=True)
        server = await start(listener, sock)
        stack.push_async_callback(server.close)
        pass_over_what_is_loaded()
        await stopping.wait()
