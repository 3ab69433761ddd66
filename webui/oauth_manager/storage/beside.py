"""The work of a rotation beside the connections: timelines, and tokens that are held to revoke.

What no key here opens is left: nobody sees it, and its time runs out.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ..errors import RecordUnreadable
from . import held_tokens, keys, timeline
from .batches import run_all, run_each
from .bulk_sealer import BulkSealer
from .calls import RedisClient, read_texts, redis_call
from .storage import Storage

_AT_ONCE = 50  # timelines, of some thousand entries at the most
_FRESH_SECONDS = 60.0  # while whoever wrote an entry may still replace it

# Put other seals in the place of some, at the same ids.  ARGV: an object of old and new seals.
_RESEAL = """
local anew, done = cjson.decode(ARGV[1]), 0
local kind = redis.call('TYPE', KEYS[1])['ok']
if kind == 'list' then
  for i, entry in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
    local id, sealed = string.match(entry, '^([^ ]*) (.*)$')
    if sealed and anew[sealed] then
      redis.call('LSET', KEYS[1], i - 1, id .. ' ' .. anew[sealed])
      done = done + 1
    end
  end
elseif kind == 'stream' then
  local entries, life = redis.call('XRANGE', KEYS[1], '-', '+'), redis.call('PTTL', KEYS[1])
  redis.call('DEL', KEYS[1])
  for _, entry in ipairs(entries) do
    for i, value in ipairs(entry[2]) do
      if anew[value] then entry[2][i], done = anew[value], done + 1 end
    end
    redis.call('XADD', KEYS[1], entry[1], unpack(entry[2]))
  end
  if life > 0 then redis.call('PEXPIRE', KEYS[1], life) end
end
return done
"""
# ARGV: a value, and the one in its place, for as long as it had.
_REPLACE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1
"""


async def visit(
    storage: Storage, bulk: BulkSealer, redis: RedisClient, page: Sequence[bytes]
) -> Counter[str]:
    """Seal what these keys hold anew; count what was (``beside``) and cannot be (``blind``)."""
    counts: Counter[str] = Counter()
    events = [key for key in page if key.startswith(keys.EVENTS.encode())]
    for start in range(0, len(events), _AT_ONCE):
        await _timelines(storage, bulk, redis, events[start : start + _AT_ONCE], counts)
    held = [key for key in page if key.startswith(keys.REVOKE.encode())]
    if held:
        await _held(storage, bulk, redis, held, counts)
    return counts


async def _timelines(
    storage: Storage,
    bulk: BulkSealer,
    redis: RedisClient,
    names: Sequence[bytes],
    counts: Counter[str],
) -> None:
    until = (storage.clock.now() - _FRESH_SECONDS) * 1000
    async with redis_call("seal timelines anew"):
        found = await _read(redis, names)
        anew: dict[bytes, Mapping[str, str]] = {}
        for name, entries in zip(names, found, strict=True):
            seals = (sealed for at, sealed in entries if timeline.entry_id(at)[0] < until)
            if made := _anew(bulk, seals, counts):
                anew[name] = made
        calls = [(name, json.dumps(seals)) for name, seals in anew.items()]
        counts["beside"] += sum(await run_each(redis, _RESEAL, calls))


async def _read(redis: RedisClient, names: Sequence[bytes]) -> list[list[timeline.Entry]]:
    """Read whole timelines."""
    asked = "+", 0, 2 * timeline.MOST
    answers = await run_all(redis, timeline.READ, [(name, *asked) for name in names])
    return [timeline.entries(answer, *asked) for answer in answers]


async def _held(
    storage: Storage,
    bulk: BulkSealer,
    redis: RedisClient,
    names: Sequence[bytes],
    counts: Counter[str],
) -> None:
    async with redis_call("seal held tokens anew"):
        texts = await read_texts(redis, names)
        is_idle = {text: held_tokens.is_idle(storage, text) for text in texts}
        anew = _anew(bulk, (text for text in texts if is_idle[text]), counts)
        calls = [(name, t, anew[t]) for name, t in zip(names, texts, strict=True) if t in anew]
        counts["beside"] += sum(await run_each(redis, _REPLACE, calls))


def _anew(bulk: BulkSealer, seals: Iterable[str], counts: Counter[str]) -> dict[str, str]:
    """Map seals by an older key to those by the newest."""
    anew: dict[str, str] = {}
    for sealed in seals:
        try:
            if not bulk.is_newest(sealed):
                anew[sealed] = bulk.encrypted_anew(sealed)
        except RecordUnreadable:
            counts["blind"] += 1
    return {before: after for before, after in anew.items() if before != after}
