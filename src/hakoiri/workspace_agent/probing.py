"""Runs the probe in a process of its own, which its attempts may break, and reads its report."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from pydantic import ValidationError

from hakoiri.wire.probe import ProbeReport, ProbeRequest
from hakoiri.workspace_agent.errors import ProbeError

TIMEOUT_S: Final = 60.0
THOROUGH_TIMEOUT_S: Final = 300.0
REPORT_LIMIT_BYTES: Final = 512 * 1024
PROGRAM: Final = (sys.executable, "-I", "-m", "hakoiri.workspace_agent.probe")


async def run_probe(request: ProbeRequest, *, program: Sequence[str] = PROGRAM) -> ProbeReport:
    """Return what the probe found.

    Raises:
        ProbeError: it did not end in time, or said something else than a report.
    """
    timeout_s = THOROUGH_TIMEOUT_S if request.thorough else TIMEOUT_S
    process = await asyncio.create_subprocess_exec(
        *program,
        request.model_dump_json(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=REPORT_LIMIT_BYTES,
    )
    try:
        async with asyncio.timeout(timeout_s):
            said = await _read(process)
            await process.wait()
    except TimeoutError:
        raise ProbeError(f"it did not end within {timeout_s:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        return ProbeReport.model_validate_json(said)
    except ValidationError as error:
        raise ProbeError(f"it ended with {process.returncode} and no report") from error


async def _read(process: asyncio.subprocess.Process) -> bytes:
    if process.stdout is None:
        raise ProbeError("it has no output")
    said = await process.stdout.read(REPORT_LIMIT_BYTES)
    while chunk := await process.stdout.read(REPORT_LIMIT_BYTES):
        said += chunk
        if len(said) > REPORT_LIMIT_BYTES:
            raise ProbeError(f"its report is longer than {REPORT_LIMIT_BYTES} bytes")
    return said
