"""Whether the body of a model request may go out: what it reaches for, its model, its most."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hakoiri.credential_proxy.budgets.charge import ChargeError, ModelCharge
from hakoiri.credential_proxy.decision import Forward
from hakoiri.credential_proxy.decision_log import Outcome
from hakoiri.credential_proxy.errors import NOT_ALLOWED_STATUS, CredentialProxyError
from hakoiri.credential_proxy.held_body import HeldBody
from hakoiri.credential_proxy.json_scanner import JsonScanner, MessageBodyError
from hakoiri.credential_proxy.message_body import (
    MODEL,
    MemberScanner,
    Scalar,
    max_tokens_names,
    max_tokens_of,
    model_of,
)
from hakoiri.credential_proxy.model_reach import ReachRefusedError, ReachScanner

LOOKED_THROUGH_BYTES: Final = 8192
"""Looked through at a time: of the shortest tokens some milliseconds."""


class BodyRefusedError(CredentialProxyError):
    """The body says what may not go out; `code` is stable."""

    def __init__(self, status: int, code: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyCheck:
    """Looks through one held body, a piece at a time, so that others are served in between.

    `looking` is the container's: its bodies are looked through one after the other, since many at
    once would have all their pieces before a neighbour has one.
    """

    forward: Forward
    charge: ModelCharge | None
    outcome: Outcome
    looking: asyncio.Lock

    async def run(self, held: HeldBody) -> None:
        """Check the body, and reserve what it asks for at most.

        Raises:
            BodyRefusedError: it is not sound, or asks for what is not allowed.
            OverBudgetError: what it asks for at most is not left.
        """
        try:
            await self._check_reach(held)
            await self._check_members(held)
        except MessageBodyError as error:
            raise BodyRefusedError(400, "bad-body", str(error)) from error
        except ReachRefusedError as error:
            raise BodyRefusedError(NOT_ALLOWED_STATUS, "reach-not-allowed", str(error)) from error
        except ChargeError as error:
            raise BodyRefusedError(error.status, error.code, str(error)) from error

    async def _check_reach(self, held: HeldBody) -> None:
        if self.forward.reach is None or not held.size_bytes:
            return
        scanner = ReachScanner(self.forward.reach)
        await self._look_through(held, scanner)
        scanner.end()

    async def _check_members(self, held: HeldBody) -> None:
        call, charge = self.forward.call, self.charge
        operation = call.operation if call is not None else None
        if charge is None or not charge.needs_reservation:
            operation = None
        if not self.forward.models and operation is None:
            return
        names = [MODEL, *(max_tokens_names(operation) if operation is not None else ())]
        scanner = MemberScanner(names)
        await self._look_through(held, scanner)
        members = scanner.finish()
        self._check_model(members)
        if charge is not None and operation is not None:
            of_path = call.model if call is not None else None
            charge.reserve(
                model=of_path or model_of(members),
                body_bytes=held.size_bytes,
                max_tokens=max_tokens_of(members, operation),
            )

    def _check_model(self, members: Mapping[str, Scalar]) -> None:
        if self.forward.models and model_of(members) not in self.forward.models:
            reason = f"{model_of(members)[:256]!r} is not allowed"
            raise BodyRefusedError(NOT_ALLOWED_STATUS, "model-not-allowed", reason)
        if self.forward.models:
            self.outcome.model = model_of(members)

    async def _look_through(self, held: HeldBody, scanner: JsonScanner) -> None:
        async with self.looking:
            async for chunk in held.chunks():
                for at in range(0, len(chunk), LOOKED_THROUGH_BYTES):
                    scanner.feed(chunk[at : at + LOOKED_THROUGH_BYTES])
                    await asyncio.sleep(0)
