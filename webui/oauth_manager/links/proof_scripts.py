"""Atomic steps on a person's proofs under way: begun, confirmed, ended; each touches one key."""

from __future__ import annotations

from ..storage.scripts import OURS

# Of an entry: digest, tries, status, end.
_PARTS = r"'^(%x+):(%d+):(%a+):(%d+)$'"
# ARGV: id, digest, lifetime, how many may be open, the hash's own lifetime.  No two end in
# the same second: a hash has no order, so only their ends say which is the oldest.
START = f"""{OURS}
local now = tonumber(redis.call('TIME')[1])
local all, open, gone, taken = ours('HGETALL', KEYS[1]), {{}}, {{}}, {{}}
for i = 1, #all, 2 do
  local expires = tonumber((select(4, string.match(all[i + 1], {_PARTS}))) or 0)
  if expires <= now then redis.call('HDEL', KEYS[1], all[i])
  else open[#open + 1] = {{expires, all[i]}}; taken[expires] = true end
end
table.sort(open, function(a, b) return a[1] < b[1] end)
for i = 1, #open + 1 - ARGV[4] do
  redis.call('HDEL', KEYS[1], open[i][2])
  gone[#gone + 1] = open[i][2]
end
local expires = now + ARGV[3]
while taken[expires] do expires = expires + 1 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':0:waiting:' .. expires)
redis.call('EXPIRE', KEYS[1], ARGV[5])
return gone
"""
# ARGV: tries allowed, the status of a confirmed one, digests.  Answers 'ok', or how many tries
# are left.  A wrong code counts against every open proof: nobody can tell which was meant.
CONFIRM = f"""{OURS}
local now = tonumber(redis.call('TIME')[1])
local all, left = ours('HGETALL', KEYS[1]), 0
local waiting = {{}}
for i = 1, #all, 2 do
  local digest, tries, status, expires = string.match(all[i + 1], {_PARTS})
  if status == 'waiting' and now < tonumber(expires) then
    for a = 3, #ARGV do
      if ARGV[a] == digest then
        local confirmed = digest .. ':' .. tries .. ':' .. ARGV[2] .. ':' .. expires
        redis.call('HSET', KEYS[1], all[i], confirmed)
        return 'ok'
      end
    end
    waiting[#waiting + 1] = {{all[i], digest, tonumber(tries) + 1, expires}}
  end
end
for _, w in ipairs(waiting) do
  if w[3] >= tonumber(ARGV[1]) then
    redis.call('HDEL', KEYS[1], w[1])
  else
    redis.call('HSET', KEYS[1], w[1], w[2] .. ':' .. w[3] .. ':waiting:' .. w[4])
    left = math.max(left, tonumber(ARGV[1]) - w[3])
  end
end
return tostring(left)
"""
# Answers whether a proof waits for its code.
IS_WAITING = f"""{OURS}
local now = tonumber(redis.call('TIME')[1])
local all = ours('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local _, _, status, expires = string.match(all[i + 1], {_PARTS})
  if status == 'waiting' and now < tonumber(expires) then return 1 end
end
return 0
"""
ALL = f"{OURS} return ours('HGETALL', KEYS[1])"
# Every proof is over.  Answers the ids of those that were not.
END_ALL = f"""{OURS}
local now = tonumber(redis.call('TIME')[1])
local all, ids = ours('HGETALL', KEYS[1]), {{}}
for i = 1, #all, 2 do
  local expires = select(4, string.match(all[i + 1], {_PARTS}))
  if expires and tonumber(expires) > now then ids[#ids + 1] = all[i] end
end
redis.call('DEL', KEYS[1])
return ids
"""
