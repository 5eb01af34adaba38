"""Asks the audit reader, a process that sees all chains, on its Unix socket."""

import asyncio
import json
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from hakoiri.audit.query import AuditQuery
from hakoiri.host.conversations.audit_view import (
    AuditCursorError,
    AuditPage,
    AuditUnavailableError,
)

ANSWER_LIMIT_BYTES: Final = 4 * 1024 * 1024
"""A page ends at 1 MiB, and one more line of 64 KiB."""

TIMEOUT_S: Final = 10.0
BAD_CURSOR: Final = "bad-cursor"


class AuditReader:
    """`socket` is None where no audit log is kept."""

    def __init__(self, socket: Path | None) -> None:
        self._socket = socket

    async def find(self, query: AuditQuery) -> AuditPage:
        """Return a page. Raises `AuditUnavailableError`, `AuditCursorError`."""
        if self._socket is None:
            raise AuditUnavailableError("no audit log is kept; set HAKOIRI_AUDIT__ENABLED")
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = await self._ask(query.model_dump_json().encode() + b"\n")
        except (OSError, TimeoutError, ValueError) as error:
            raise AuditUnavailableError("the audit reader does not answer") from error
        return _page_of(answer)

    async def _ask(self, question: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(
            str(self._socket), limit=ANSWER_LIMIT_BYTES
        )
        try:
            writer.write(question)
            await writer.drain()
            return await reader.readline()
        finally:
            writer.close()


def _page_of(answer: bytes) -> AuditPage:
    try:
        told = json.loads(answer)
        if isinstance(told, dict) and "error" in told:
            if told["error"] == BAD_CURSOR:
                raise AuditCursorError("before: not the end of a page of this list; begin anew")
            raise AuditUnavailableError("the audit reader cannot answer now; try again")
        return AuditPage.model_validate(told)
    except (ValueError, ValidationError) as error:
        raise AuditUnavailableError("the audit reader gave no answer that can be used") from error
