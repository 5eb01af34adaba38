"""What is judged about Redis, where one is set. Pure: facts in, a finding out."""

from dataclasses import dataclass
from typing import Final

from hakoiri.cli.doctor.finding import Finding

NAME: Final = "coordination"
OLDEST_REDIS: Final = (6, 0)


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """What Redis tells of itself; `problem` says why it does not, and is empty otherwise."""

    version: str = ""
    eviction: str = ""
    memory_limit_bytes: int = 0
    problem: str = ""


def check_redis(facts: RedisFacts) -> Finding:
    """Redis answers us, is new enough, and throws nothing away."""
    if facts.problem:
        return Finding.missing(
            NAME,
            f"Redis cannot be used: {facts.problem}",
            mend="start it, or mend HAKOIRI_REDIS_URL and HAKOIRI_COORDINATION__CREDENTIALS_FILE",
        )
    numbers = facts.version.split(".")[:2]
    version = tuple(int(part) for part in numbers if part.isdecimal())
    if version < OLDEST_REDIS:
        wanted = ".".join(map(str, OLDEST_REDIS))
        return Finding.missing(
            NAME, f"Redis {facts.version or 'of no version'}", mend=f"use {wanted} or newer"
        )
    if facts.memory_limit_bytes and facts.eviction != "noeviction":
        return Finding.warning(
            NAME,
            f"Redis {facts.version} throws keys away when its memory is full ({facts.eviction})",
            mend="set maxmemory-policy noeviction: a lease that is gone is not held",
        )
    return Finding.ok(NAME, f"Redis {facts.version}")
