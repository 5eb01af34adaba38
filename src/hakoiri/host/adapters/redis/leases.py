"""Leases in Redis: one key each, which runs out by itself unless its holder renews it."""

import secrets
from collections.abc import Callable
from typing import Any

import structlog
from redis.asyncio import Redis

from hakoiri.host.adapters.redis import scripts
from hakoiri.host.adapters.redis.link import RedisLink
from hakoiri.host.coordination.ports import (
    NAME_LIMIT_CHARS,
    CoordinationAwayError,
    CoordinationError,
    WhenAway,
)
from hakoiri.host.coordination.settling import Settling

log = structlog.get_logger(__name__)


class RedisLease:
    """A lease, as far as we know: what it is worth depends on our own clock alone."""

    def __init__(self, leases: "RedisLeases", name: str, *, clock: Callable[[], float]) -> None:
        """Nothing is held yet."""
        self._leases = leases
        self._clock = clock
        self.name = name
        self.token = 0
        self.is_sole = False
        self.is_local = False
        self._until_s = 0.0

    @property
    def is_held(self) -> bool:
        """Whether it has not run out; one that was given on our word alone does not."""
        return self.is_local or self._clock() < self._until_s

    def granted(self, token: int, *, until_s: float) -> None:
        """Note what Redis said; it was asked `lease_s` before `until_s` at the latest."""
        self.token = token
        self.is_local = False
        self._until_s = until_s

    def granted_by_us(self, token: int) -> None:
        """Note that nobody was asked."""
        self.token = token
        self.is_sole = True
        self.is_local = True

    def lost(self) -> None:
        """Note that it is not ours any more."""
        self.is_local = False
        self._until_s = 0.0

    async def release(self) -> None:
        """Give it back."""
        await self._leases.release(self)


class RedisLeases:
    """`Leases` in Redis. `renew` is to be called several times in a lease's length."""

    def __init__(
        self,
        link: RedisLink,
        *,
        namespace: str,
        holder: str,
        lease_s: float,
        when_away: WhenAway,
        clock: Callable[[], float],
    ) -> None:
        """`holder` names this server through all its starts; `clock` gives monotonic seconds."""
        self._link = link
        self._namespace = namespace
        self._holder = holder
        self._start = secrets.token_hex(8)
        self._lease_s = lease_s
        self._when_away = when_away
        self._clock = clock
        self._settling = Settling(settle_s=lease_s)
        self._mine: dict[str, RedisLease] = {}
        self._highest = 0

    async def acquire(self, name: str) -> RedisLease | None:
        """Return the lease; None if somebody has it. Raises `CoordinationAwayError`."""
        if not 0 < len(name) <= NAME_LIMIT_CHARS:
            raise CoordinationError(f"a lease's name has 1 to {NAME_LIMIT_CHARS} characters")
        if name in self._mine:
            return None
        lease = self._mine[name] = RedisLease(self, name, clock=self._clock)
        try:
            is_given = await self._ask_for(lease)
        except BaseException:
            del self._mine[name]
            raise
        if not is_given:
            del self._mine[name]
        return lease if is_given else None

    async def _ask_for(self, lease: RedisLease) -> bool:
        asked_s = self._clock()
        keys = (self._key(lease.name), self._counter, self._life)
        me = (self._holder, self._start)
        arguments = (*me, self._lease_ms, str(self._highest), secrets.token_hex(8))
        try:
            life, token, was = await self._link.call(
                lambda redis: _run(redis, scripts.ACQUIRE, keys, arguments)
            )
        except CoordinationAwayError:
            self._settling.lost_sight()
            if self._when_away == "refuse":
                raise
            self._highest += 1
            lease.granted_by_us(self._highest)
            return True
        self._settling.saw(life, now_s=self._clock())
        if not token:
            return False
        self._note(lease, token, asked_s)
        lease.is_sole = was == "own" or self._settling.is_settled(now_s=self._clock())
        return True

    async def release(self, lease: RedisLease) -> None:
        """Give it back; what cannot be given back now runs out by itself."""
        if self._mine.get(lease.name) is not lease:
            return
        del self._mine[lease.name]
        is_known = not lease.is_local
        lease.lost()
        if is_known:
            await self._give_back(lease.name, lease.token)

    async def _give_back(self, name: str, token: int) -> None:
        keys, arguments = (self._key(name),), (self._me, str(token))
        try:
            await self._link.call(lambda redis: _run(redis, scripts.RELEASE, keys, arguments))
        except CoordinationAwayError as error:
            log.info("lease_not_released", lease=name, reason=str(error))

    async def renew(self) -> None:
        """Renew all leases, and look at Redis if there are none. Raises `CoordinationAwayError`."""
        asked_s = self._clock()
        # One that is asked for now has no token yet.
        leases = [lease for lease in self._mine.values() if lease.token]
        try:
            life, *tokens = await self._link.attempt(lambda redis: self._renewed(redis, leases))
        except CoordinationAwayError:
            self._settling.lost_sight()
            raise
        self._settling.saw(life, now_s=self._clock())
        for lease, token in zip(leases, tokens, strict=True):
            if self._mine.get(lease.name) is not lease:
                if token:  # given back meanwhile, and made anew by the renewal
                    await self._give_back(lease.name, int(token))
            elif token:
                self._note(lease, token, asked_s)
            else:
                if lease.is_held:
                    log.warning("lease_lost", lease=lease.name, effect="another server has it")
                lease.lost()

    async def _renewed(self, redis: Redis, leases: list[RedisLease]) -> list[str]:
        async with redis.pipeline(transaction=False) as pipeline:
            pipeline.eval(scripts.LOOK, 1, self._life, secrets.token_hex(8))
            for lease in leases:
                keys = (self._key(lease.name), self._counter)
                arguments = (self._me, self._lease_ms, str(self._highest), str(lease.token))
                pipeline.eval(scripts.RENEW, len(keys), *keys, *arguments)
            answers: list[str] = await pipeline.execute()
            return answers

    def _note(self, lease: RedisLease, token: str, asked_s: float) -> None:
        number = int(token)
        self._highest = max(self._highest, number)
        # Redis began to count when it had our request, which is not before we sent it.
        lease.granted(number, until_s=asked_s + self._lease_s)

    @property
    def _me(self) -> str:
        return f"{self._holder} {self._start}"

    def _key(self, name: str) -> str:
        return f"{self._namespace}:lease:{name}"

    @property
    def _counter(self) -> str:
        return f"{self._namespace}:token"

    @property
    def _life(self) -> str:
        return f"{self._namespace}:life"

    @property
    def _lease_ms(self) -> str:
        return str(int(self._lease_s * 1000))


async def _run(redis: Redis, script: str, keys: tuple[str, ...], arguments: tuple[str, ...]) -> Any:
    return await redis.eval(script, len(keys), *keys, *arguments)
