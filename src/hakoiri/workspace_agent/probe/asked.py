"""What is asked of the probe: a `ProbeRequest` that the agent has checked, without its library."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The fields of `hakoiri.wire.probe.ProbeRequest`."""

    runtime: str
    owner_uid: int
    owner_gid: int
    namespaces: Mapping[str, int]
    open_files: int
    file_limit_bytes: int
    apparmor: str | None
    thorough: bool

    @classmethod
    def read(cls, text: str) -> Self:
        """Read the request's JSON. Raises `ValueError` or `TypeError` if it is something else."""
        return cls(**json.loads(text))
