"""A person's timeline in Redis: a list while it is short, a stream once it is long.

A stream takes 4 kB for its first entry, and a list what its entries take; a stream finds
its place by an id.  Each write brings the shape that the length calls for.  Either way an
entry has the id of its moment, and a seal.  Every script touches one key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .calls import Pipeline, as_text, run, unless_mistyped

FEW = 16  # entries at most of a stream that becomes a list
SHORT = 32  # entries at most of a list
MOST = 2000  # about how many are kept

Entry = tuple[str, str]  # an id, and a seal
EntryId = tuple[int, int]  # milliseconds, and a number among those of the same one

# In a list an entry is the id, a blank and the seal.
_LIST_TO_STREAM = """
local function to_stream(oldest)
  local kept, ms, number = {}, 0, 0
  for _, entry in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
    local m, n, sealed = string.match(entry, '^(%d+)-(%d+) (.*)$')
    m, n = tonumber(m), tonumber(n)
    if m and m >= oldest then kept[#kept + 1] = {m, n, sealed, entry} end
  end
  redis.call('DEL', KEYS[1])
  for _, one in ipairs(kept) do
    if #kept <= tonumber(ARGV[4]) then
      redis.call('RPUSH', KEYS[1], one[4])
    else
      -- Redis's clock may have been set back, and ids only grow.
      if one[1] < ms or (one[1] == ms and one[2] <= number) then one[1], one[2] = ms, number + 1 end
      ms, number = one[1], one[2]
      redis.call('XADD', KEYS[1], string.format('%.0f-%.0f', ms, number), 'sealed', one[3])
    end
  end
end
"""
_STREAM_TO_LIST = """
local function to_list()
  local entries = redis.call('XRANGE', KEYS[1], '-', '+')
  redis.call('DEL', KEYS[1])
  for _, entry in ipairs(entries) do
    for i = 1, #entry[2], 2 do
      if entry[2][i] == 'sealed' then
        redis.call('RPUSH', KEYS[1], entry[1] .. ' ' .. entry[2][i + 1])
      end
    end
  end
end
"""
# Add an entry.  ARGV: its seal, the oldest moment that is kept (ms), the life (s), SHORT, FEW,
# MOST, and the entry that it replaces, if any.  Answers the entry as it is in a list.
_ADD = f"""{_LIST_TO_STREAM}{_STREAM_TO_LIST}
local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
local entry = string.format('%.0f-%.0f ', ms, time[2] % 1000) .. ARGV[1]
local count = redis.pcall('RPUSH', KEYS[1], entry)
if type(count) == 'table' then
  if not string.find(count.err, 'WRONGTYPE') then error(count) end
  if redis.call('TYPE', KEYS[1])['ok'] == 'stream' then
    entry = redis.call('XADD', KEYS[1], 'MINID', '~', ARGV[2], '*', 'sealed', ARGV[1])
      .. ' ' .. ARGV[1]
    if ARGV[7] ~= '' then redis.call('XDEL', KEYS[1], string.match(ARGV[7], '^[^ ]*')) end
    redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[6])
    if redis.call('XLEN', KEYS[1]) <= tonumber(ARGV[5]) then to_list() end
  else
    redis.call('DEL', KEYS[1])  -- not ours
    redis.call('RPUSH', KEYS[1], entry)
  end
else
  if ARGV[7] ~= '' then redis.call('LREM', KEYS[1], -1, ARGV[7]) end
  if count > tonumber(ARGV[4]) then to_stream(tonumber(ARGV[2])) end
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return entry
"""
# Remove an entry, as _ADD answered it.
_REMOVE = """
local removed = redis.pcall('LREM', KEYS[1], -1, ARGV[1])
if type(removed) ~= 'table' then return removed end
return redis.call('XDEL', KEYS[1], string.match(ARGV[1], '^[^ ]*'))
"""
# Read a list whole, or of a stream so many entries from the newest on.  ARGV: as for XREVRANGE.
READ = """
local entries = redis.pcall('LRANGE', KEYS[1], 0, -1)
if not entries.err then return entries end
return redis.call('XREVRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3])
"""


def queue_add(
    pipe: Pipeline, key: str, sealed: str, *, oldest: int, life: int, replaces: str = ""
) -> None:
    """Queue a new entry, in place of the one of the answer ``replaces``.

    Entries before ``oldest`` (ms) may go; ``life`` is in seconds.  The answer is for
    :func:`queue_remove`.
    """
    pipe.eval(_ADD, 1, key, sealed, oldest, life, SHORT, FEW, MOST, replaces)


def queue_remove(pipe: Pipeline, key: str, entry: str) -> None:
    """Queue the removal of an entry."""
    pipe.eval(_REMOVE, 1, key, entry)


def queue_read(pipe: Pipeline, key: str, newest: str, oldest: int, count: int) -> None:
    """Queue a look at so many entries; its answer is for :func:`entries`."""
    run(pipe, READ, key, newest, oldest, count)


def entries(answer: Any, newest: str, oldest: int, count: int) -> list[Entry]:
    """List the entries of an answer, newest first; none if the key is of another type.

    ``newest`` is ``+``, or the id before which they are, after a ``(``.
    """
    found = unless_mistyped(answer, [])
    if found and isinstance(found[0], Sequence) and not isinstance(found[0], (bytes, str)):
        return [(as_text(identifier), _sealed(fields)) for identifier, fields in found]
    held = [(i, sealed) for i, _, sealed in (as_text(one).partition(" ") for one in found)]
    before = entry_id(newest[1:]) if newest != "+" else None
    kept = [
        entry
        for entry in held
        if oldest <= entry_id(entry[0])[0] and (before is None or entry_id(entry[0]) < before)
    ]
    return sorted(kept, key=lambda entry: entry_id(entry[0]), reverse=True)[:count]


def entry_id(identifier: str) -> EntryId:
    """Parse an id; the first of all if it is none."""
    milliseconds, _, number = identifier.partition("-")
    is_one = milliseconds.isdecimal() and number.isdecimal()
    return (int(milliseconds), int(number)) if is_one else (0, 0)


def _sealed(fields: Sequence[Any]) -> str:
    named = dict(zip(fields[::2], fields[1::2], strict=True))
    return as_text(named.get(b"sealed") or named.get("sealed"))
