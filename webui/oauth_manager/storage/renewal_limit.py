"""A limit on renewals that the clock did not ask for.

An API that refuses every token, or a caller that always wants a newer one, must not
burn a grant: providers end grants that are renewed without end.
"""

from __future__ import annotations

from . import keys
from .calls import redis_call
from .scripts import OURS
from .storage import Subject

# ARGV: how many within the first window (s), the pause after them (s).  The value: the
# times (ms) of the last ones, newest last; or "after:TIME" once there were too many.
# Redis's own clock decides.
_ALLOW = (
    OURS
    + """
local most, window, pause = tonumber(ARGV[1]), ARGV[2] * 1000, ARGV[3] * 1000
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = ours('GET', KEYS[1]) or ''
local last = string.match(known, '^after:(%d+)$')
if last then
  if now - tonumber(last) < pause then return 0 end
  redis.call('SET', KEYS[1], string.format('after:%.0f', now), 'PX', 2 * pause)
  return 1
end
local times, count = '', 0
for at in string.gmatch(known, '%d+') do
  if now - tonumber(at) < window then times, count = times .. at .. ' ', count + 1 end
end
if count + 1 >= most then
  redis.call('SET', KEYS[1], string.format('after:%.0f', now), 'PX', 2 * pause)
else
  redis.call('SET', KEYS[1], times .. string.format('%.0f', now), 'PX', window)
end
return 1
"""
)
MOST = 10  # within WINDOW
WINDOW = 600  # seconds
PAUSE = 3600  # seconds between two, after that


async def allows(subject: Subject) -> bool:
    """Count one renewal, or one link for more scopes that an API wants; return whether it may be.

    Raises ``StoreUnavailable``.

    Ten within ten minutes, then one an hour; as before after two hours without any.
    """
    async with redis_call("count renewals"):
        key = keys.renewals(subject.user_id, subject.place)
        return bool(await subject.redis.eval(_ALLOW, 1, key, MOST, WINDOW, PAUSE))
