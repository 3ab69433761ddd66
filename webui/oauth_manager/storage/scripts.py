"""Atomic steps in Redis on the record of a connection; each touches one key (Cluster)."""

# The value; a key of another type reads as a value that nobody wrote (``FOREIGN``).
NOW = """
local kind, now = redis.call('TYPE', KEYS[1])['ok'], '\\0'
if kind == 'string' or kind == 'none' then now = redis.call('GET', KEYS[1]) end
"""
# Set the value unless it was replaced or removed since it was read.  Repeating a call
# whose answer was lost is harmless.  ARGV: the old value, the new one, and its life
# (ms) if it ends.  1 written, 0 removed, -1 replaced.
REPLACE = f"""{NOW}
if now == ARGV[1] or now == ARGV[2] then
  redis.call('SET', KEYS[1], ARGV[2], unpack(ARGV[3] and {{'PX', ARGV[3]}} or {{}}))
  return 1
end
return now and -1 or 0
"""
# Write the records of an authorization.  A record that was there when it began and has
# been removed since was disconnected, which wins; and the caller of a late write (a
# frozen server executes it when it wakes up) has given it up by then.
# ARGV: the old value, the new one, the last moment (ms, Redis's clock), and "same" if
# the record must not have changed either.
# 1 written, 0 removed, -1 changed, -2 late.
CONNECT = f"""{NOW}
local time = redis.call('TIME')
if time[1] * 1000 + math.floor(time[2] / 1000) > tonumber(ARGV[3]) then return -2 end
if ARGV[1] ~= '' and not now then return 0 end
if ARGV[4] == 'same' and (now or '') ~= ARGV[1] and now ~= ARGV[2] then return -1 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""
# A command on the one key.  A value of another type is not ours, and is deleted: this is for
# records that expire by themselves, never for a connection.
OURS = """
local function ours(...)
  local answer = redis.pcall(...)
  if type(answer) ~= 'table' or not answer.err then return answer end
  if not string.find(answer.err, 'WRONGTYPE') then error(answer) end
  redis.call('DEL', KEYS[1])
  return redis.call(...)
end
"""
# Add an entry to a stream.  ARGV: the arguments of XADD after the key.  Answers its id.
APPEND = f"{OURS} return ours('XADD', KEYS[1], unpack(ARGV))"
# Put a claim in the place of nothing or another claim; 0 if anything else is there.  ARGV: the
# claim, its life.
CLAIM = f"""{NOW}
if now and string.sub(now, 1, 7) ~= 'moving:' then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
# Remove a claim.  0 if nothing is there now, -1 if something is.
UNCLAIM = f"""{NOW}
if now and string.sub(now, 1, 7) == 'moving:' then redis.call('DEL', KEYS[1]) return 0 end
return now and -1 or 0
"""
CLOCK = "local time = redis.call('TIME') return time[1] * 1000 + math.floor(time[2] / 1000)"
HDEL_IF_SAME = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])
"""
# 1 deleted, 0 not there, -1 replaced.
DELETE_IF_SAME = f"""{NOW}
if now == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return now and -1 or 0
"""
# The same for what must not go without another record that is written before: a server
# without room, which would remove and not add, refuses both.
DELETE_IF_ROOM = f"""{NOW}
if now == ARGV[1] then
  redis.call('SET', KEYS[1], now)
  return redis.call('DEL', KEYS[1])
end
return now and -1 or 0
"""
# Put an entry into the index for a rotation.  ARGV: the field, the mark of the rotation, the
# value of an entry that it makes.  1 made, 0 marked.
LIST = """
local is_there = redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1
redis.call('HSET', KEYS[1], ARGV[1], is_there and ARGV[2] or ARGV[3])
return is_there and 0 or 1
"""
# Go through a piece of the index: remove the entries whose value has the mark of another
# encryption key.  ARGV: the cursor, how many, the mark of the rotation, that of our key.
# Answers 0 if the hash is through and all else bears the rotation's mark, else {cursor, {field,
# value, ...}} of what does not.
SWEEP = """
local found, others = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2]), {}
for n = 1, #found[2], 2 do
  local field, value = found[2][n], found[2][n + 1]
  local key = string.match(value, '^(%x%x%x)%-%x+$')
  if key and key ~= ARGV[4] then
    redis.call('HDEL', KEYS[1], field)
  elseif value ~= ARGV[3] then
    others[#others + 1], others[#others + 2] = field, value
  end
end
if found[1] == '0' and #others == 0 then return 0 end
return {found[1], others}
"""
