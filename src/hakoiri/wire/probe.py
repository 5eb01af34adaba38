"""What a look at a box from inside found: each attempt was refused, or its way is open."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from hakoiri.wire.box import Namespace
from hakoiri.wire.guard import HostId
from hakoiri.wire.messages import Message, Runtime, ShortText

FINDINGS_LIMIT = 1000

NamespaceId = Annotated[int, Field(ge=0, lt=2**64)]
"""The number of a namespace's inode. It tells nothing but which is which."""


class ProbeRequest(Message):
    """Look at the box; `thorough` also uses up its resources, which hurts what runs in it.

    `owner_uid` and `owner_gid` are who the engine makes of the box's user on the host. `namespaces`
    are those of who asks: a box must be in others. `open_files` and `file_limit_bytes` are what its
    processes were given, `apparmor` is the label they must have; None where the kernel has none.
    """

    runtime: Runtime
    owner_uid: HostId
    owner_gid: HostId
    namespaces: dict[Namespace, NamespaceId]
    open_files: int = Field(ge=1)
    file_limit_bytes: int = Field(ge=1)
    apparmor: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None
    thorough: bool = False


class ProbeFinding(Message):
    """One attempt; `how` tells by what it was refused, or what it got at."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.,:/-]{0,119}$")]
    result: Literal["refused", "open"]
    how: ShortText


class ProbeReport(Message):
    """All attempts of one run, in their order; `processor_s` is what they took of the processor."""

    findings: list[ProbeFinding] = Field(min_length=1, max_length=FINDINGS_LIMIT)
    processor_s: float = Field(ge=0)

    @property
    def open(self) -> list[ProbeFinding]:
        """The findings that are none of our promises."""
        return [finding for finding in self.findings if finding.result == "open"]
