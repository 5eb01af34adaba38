"""What Redis does in one step, as Lua. Numbers stay below 2^53, which Lua counts exactly.

A life of the service is its process (`run_id`, new with each start) and its memory (a random word
that is kept beside the leases): either changes when leases may have been forgotten.
"""

from typing import Final

_LIFE: Final = """
local function life(key, fresh)
  local word = redis.call('GET', key)
  if not word then
    word = fresh
    redis.call('SET', key, word)
  end
  local process = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
  return process .. ' ' .. word
end
"""

_GRANT: Final = """
local function grant(key, counter, me, ttl_ms, seen)
  local time = redis.call('TIME')
  local token = math.max(
    tonumber(redis.call('GET', counter) or 0) + 1,
    tonumber(seen) + 1,
    tonumber(time[1]) * 1000000 + tonumber(time[2])
  )
  local text = string.format('%.0f', token)
  redis.call('SET', counter, text)
  redis.call('SET', key, me .. ' ' .. text, 'PX', ttl_ms)
  return text
end
"""

LOOK: Final = f"{_LIFE} return life(KEYS[1], ARGV[1])"
"""KEYS life; ARGV a fresh word. Returns the life."""

ACQUIRE: Final = f"""{_LIFE}{_GRANT}
local now = life(KEYS[3], ARGV[5])
local had = redis.call('GET', KEYS[1])
local holder, start = string.match(had or '', '^(%S+) (%S+) ')
if had and holder ~= ARGV[1] then
  return {{now, '', ''}}
end
local was = had and start ~= ARGV[2] and 'own' or 'free'
return {{now, grant(KEYS[1], KEYS[2], ARGV[1] .. ' ' .. ARGV[2], ARGV[3], ARGV[4]), was}}
"""
"""KEYS lease, counter, life; ARGV holder, its start, milliseconds, highest token, a fresh word.

Returns the life, the token or '' if another holder has it, and 'own' if an earlier start of the
holder had it. A lease of the same start is one whose grant we did not hear of, and tells nothing.
"""

RENEW: Final = f"""{_GRANT}
local had = redis.call('GET', KEYS[1])
if had == ARGV[1] .. ' ' .. ARGV[4] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return ARGV[4]
end
if had then
  return ''
end
return grant(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3])
"""
"""KEYS lease, counter; ARGV holder with its start, milliseconds, highest token, the token.

Returns the token, a new one if the lease had run out or was forgotten, '' if another has it.
"""

RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] .. ' ' .. ARGV[2] then
  return redis.call('DEL', KEYS[1])
end
return 0
"""
"""KEYS lease; ARGV holder with its start, token. Removes that lease and no later one."""

KEEP_NEWEST: Final = """
local function version(text)
  local ok, document = pcall(cjson.decode, text)
  return ok and type(document) == 'table' and tonumber(document.version) or 0
end
local had = redis.call('GET', KEYS[1])
if had and version(had) >= version(ARGV[1]) then
  return had
end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]
"""
"""KEYS document; ARGV a document with a `version`. Returns the one that is kept: the newer."""
