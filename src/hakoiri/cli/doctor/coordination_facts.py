"""Asks Redis about itself, with the rights that the server will have."""

from redis import Redis
from redis.exceptions import RedisError

from hakoiri.cli.doctor.coordination_checks import RedisFacts
from hakoiri.host.adapters.redis.opening import read_redis_credentials
from hakoiri.host.coordination.ports import CoordinationError
from hakoiri.host.settings import Settings

# Through a script, as leases are: a user of Redis may be allowed to call INFO and no script.
SCRIPT = "return redis.call('INFO')"


def read_redis(settings: Settings) -> RedisFacts | None:
    """Return what it tells; None if none is set."""
    if settings.redis_url is None:
        return None
    given = settings.coordination
    try:
        path = given.credentials_file
        credentials = None if path is None else read_redis_credentials(path)
        with Redis.from_url(
            settings.redis_url,
            username=credentials.username if credentials else None,
            password=credentials.password.get_secret_value() if credentials else None,
            socket_timeout=given.timeout_s,
            socket_connect_timeout=given.timeout_s,
            decode_responses=True,
            protocol=2,
        ) as redis:
            return parse_info(str(redis.eval(SCRIPT, 0)))
    except (CoordinationError, RedisError, OSError) as error:
        return RedisFacts(problem=str(error) or type(error).__name__)


def parse_info(text: str) -> RedisFacts:
    """Return what INFO says: lines of `name:value`."""
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    limit = fields.get("maxmemory", "0")
    return RedisFacts(
        version=fields.get("redis_version", ""),
        eviction=fields.get("maxmemory_policy", ""),
        memory_limit_bytes=int(limit) if limit.isdecimal() else 0,
    )
