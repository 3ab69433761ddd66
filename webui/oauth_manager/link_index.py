"""A person's open links in Redis: one hash, and what is done with it in one step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .redis_io import as_text

MAX_OPEN = 3  # links a person may have open at once; the oldest gives way

# A person's open links, one for each service: service -> "code:expires", or
# "-:expires" once the link was used or had to give way to newer ones.
# ARGV: service, code, lifetime in seconds, how many may be open.
REGISTER = """
local now = tonumber(redis.call('TIME')[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':' .. now + ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[3])
local all, open = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  local expires = tonumber(string.match(all[i + 1], ':(%d+)$'))
  if expires <= now then redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] ~= ARGV[1] and string.sub(all[i + 1], 1, 2) ~= '-:' then
    open[#open + 1] = {expires, all[i]}
  end
end
table.sort(open, function(a, b) return a[1] < b[1] end)
for i = 1, #open + 1 - ARGV[4] do
  redis.call('HSET', KEYS[1], open[i][2], '-:' .. open[i][1])
end
return 1
"""
# ARGV: service, code.  Whether this code is the open one; it is not any more.
# A link that only names its user may be of the older system, which kept no list.
CLAIM = """
local open = redis.call('HGET', KEYS[1], ARGV[1])
if not open and ARGV[1] == '' then return 1 end
if not open or string.match(open, '^[^:]+') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], '-' .. string.match(open, ':%d+$'))
return 1
"""
# Every open link is over.  Answers their codes.
CLOSE_ALL = """
local now = tonumber(redis.call('TIME')[1])
local all, codes = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  local code, expires = string.match(all[i + 1], '^([^:]+):(%d+)$')
  if code and code ~= '-' then
    redis.call('HSET', KEYS[1], all[i], '-:' .. expires)
    if tonumber(expires) > now then codes[#codes + 1] = code end
  end
end
return codes
"""


def listed(entries: Mapping[Any, Any]) -> Iterator[tuple[str, str, float]]:
    """A person's list of links: service, code (``""`` where it is over), end in epoch seconds."""
    for service, entry in entries.items():
        code, _, expires = as_text(entry).partition(":")
        if expires.isdecimal():
            yield as_text(service), "" if code == "-" else code, float(expires)
