"""What a command of the proxy's own file prints: no shell, little environment, bounded.

Its errors are dropped, not logged: a command that fails may well print what it was to keep.
"""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from hakoiri.credential_proxy.errors import CredentialError
from hakoiri.credential_proxy.trusted_file import check_trusted

COMMAND_TIMEOUT_S: Final = 10.0
OUTPUT_LIMIT_BYTES: Final = 64 * 1024
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class _Output(asyncio.SubprocessProtocol):
    """Gathers what a process prints, up to the limit."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.gathered = bytearray()
        self.is_too_much = False
        self.exited: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - stdout alone
        """Take `data`; what is over the limit ends the wait."""
        if len(self.gathered) + len(data) > OUTPUT_LIMIT_BYTES:
            self.is_too_much = True
            self._end()
        else:
            self.gathered += data

    def process_exited(self) -> None:
        """The process is gone; a child of it may still print."""
        if not self.exited.done():
            self.exited.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as asyncio calls
        """The process is gone, and nobody prints any more."""
        self._end()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


async def command_output(command: Sequence[str], *, home: str | None) -> str:
    """Run `command` and return what it printed; in the end it and its children are killed.

    The caller bounds the time. Of the proxy's environment the command sees HOME alone.

    Raises:
        ConfigurationError: somebody else could have written the program.
        CredentialError: it cannot be run, fails, or prints too much or no text.
    """
    # A task of its own: who is cancelled while the process starts must still be able to end it.
    starting = asyncio.get_running_loop().create_task(_start(command, home))
    try:
        _, output = await asyncio.shield(starting)
        await output.ended
    finally:
        code = await _end(*await starting)
    if output.is_too_much:
        raise CredentialError(f"{command[0]} printed more than {OUTPUT_LIMIT_BYTES} bytes")
    if code != 0:
        raise CredentialError(f"{command[0]} ended with code {code}")
    try:
        return output.gathered.decode("utf-8")
    except UnicodeDecodeError:
        raise CredentialError(f"{command[0]} printed something that is not UTF-8 text") from None


async def _start(
    command: Sequence[str], home: str | None
) -> tuple[asyncio.SubprocessTransport, _Output]:
    environ = {"PATH": _PATH, "LANG": "C.UTF-8"} | ({"HOME": home} if home else {})
    try:
        _check_program(Path(command[0]))
        return await asyncio.get_running_loop().subprocess_exec(
            _Output,
            *command,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=DEVNULL,
            cwd="/",
            env=environ,
            start_new_session=True,
        )
    except OSError as error:
        raise CredentialError(f"{command[0]} cannot be run: {error.strerror}") from error


async def _end(transport: asyncio.SubprocessTransport, output: _Output) -> int | None:
    """Return the exit code if the process ended by itself; kill what is left of it."""
    code = transport.get_returncode()
    # The whole group, even after a good end: a child left behind would hold the secret.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(transport.get_pid(), signal.SIGKILL)
    transport.close()
    await output.exited
    return code


def _check_program(path: Path) -> None:
    check_trusted(path, path.stat())
