"""A person's links in Redis: their keys, one hash of those that are open, and its scripts."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..shapes import shaped
from . import keys
from .calls import Pipeline, RedisClient, as_text
from .scripts import OURS

_MOMENT = re.compile(r"[0-9]{1,11}")  # epoch seconds
MAX_OPEN = 3  # links a person may have open at once; the oldest gives way

# A person's open links, one for each service: service -> "code:expires", or
# "-:expires" once the link was used or had to give way to newer ones.
# ARGV: service, code, lifetime in seconds, how many may be open.  Answers the codes that
# this ends: the one for the same service, and those that had to give way.
REGISTER = f"""{OURS}
local now = tonumber(redis.call('TIME')[1])
local gone, before = {{}}, ours('HGET', KEYS[1], ARGV[1])
local code = before and string.match(before, '^([^:]+):')
if code and code ~= '-' and code ~= ARGV[2] then gone[1] = code end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':' .. now + ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[3])
local all, open = redis.call('HGETALL', KEYS[1]), {{}}
for i = 1, #all, 2 do
  local expires = tonumber(string.match(all[i + 1], ':(%d+)$') or 0)
  if expires <= now then redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] ~= ARGV[1] and string.sub(all[i + 1], 1, 2) ~= '-:' then
    open[#open + 1] = {{expires, all[i], string.match(all[i + 1], '^([^:]+):')}}
  end
end
table.sort(open, function(a, b) return a[1] < b[1] end)
for i = 1, #open + 1 - ARGV[4] do
  redis.call('HSET', KEYS[1], open[i][2], string.format('-:%.0f', open[i][1]))
  gone[#gone + 1] = open[i][3]
end
return gone
"""
# ARGV: service, code.  Answers whether this code was the open one, and closes it.  A
# link that only names its user may be of the older system, which kept no list.
CLAIM = f"""{OURS}
local open = ours('HGET', KEYS[1], ARGV[1])
if not open and ARGV[1] == '' then return 1 end
local code, expires = string.match(open or '', '^([^:]+)(:%d+)$')
if code ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], '-' .. expires)
return 1
"""
# Every open link is over.  Answers their codes.
CLOSE_ALL = f"""{OURS}
local now = tonumber(redis.call('TIME')[1])
local all, codes = ours('HGETALL', KEYS[1]), {{}}
for i = 1, #all, 2 do
  local code, expires = string.match(all[i + 1], '^([^:]+):(%d+)$')
  if code and code ~= '-' then
    redis.call('HSET', KEYS[1], all[i], '-:' .. expires)
    if tonumber(expires) > now then codes[#codes + 1] = code end
  end
end
return codes
"""


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """A link's person and purpose; with ``provider`` ``""`` it only signs in.

    ``by_key``: the holder of a service key had it made, not the bot in its chat.  ``account``
    is the name of the account to connect, ``""`` if none was given.
    ``asked`` are values of the person, ``name=value``.
    """

    user_id: str
    provider: str = ""
    scopes: tuple[str, ...] = ()
    by_key: bool = False
    account: str = ""
    asked: tuple[str, ...] = ()


def listed(entries: Mapping[Any, Any]) -> Iterator[tuple[str, str, float]]:
    """List a person's links: service, code (``""`` if it is over), end in epoch seconds."""
    for service, entry in entries.items():
        code, _, expires = as_text(entry).partition(":")
        if _MOMENT.fullmatch(expires):
            yield as_text(service), "" if code == "-" else code, float(expires)


def put_link(pipe: Pipeline, code: str, request: LinkRequest) -> None:
    """Queue a link: the user id alone, as specified; other parts of the request are a second line.

    A user id holds no control character, so no id can pretend to a second line.
    """
    value = request.user_id
    if request.provider or request.by_key:
        rest: dict[str, Any] = {"provider": request.provider, "scopes": list(request.scopes)}
        if request.by_key:
            rest["by_key"] = True
        if request.account:
            rest["account"] = request.account
        if request.asked:
            rest["asked"] = list(request.asked)
        value += f"\n{json.dumps(rest)}"
    ttl = keys.LINK_CODE_TTL
    pipe.set(keys.link(code), value, ex=ttl)
    index = keys.links(request.user_id)
    pipe.eval(REGISTER, 1, index, request.provider, code, ttl, MAX_OPEN)


def read_link(value: str) -> LinkRequest | None:
    """Read the request in a link's record; None if it is none."""
    user_id, _, rest = value.partition("\n")
    try:
        asked = json.loads(rest) if rest else {}
        return shaped(LinkRequest, asked, user_id=keys.check_user_id(user_id))
    except (ValueError, TypeError, RecursionError):
        return None


def state_of(link_code: str) -> str:
    """Return the state of an authorization that began with a link, so that both end together.

    It reveals nothing of the code: a link's address shows the state alone.
    """
    digest = hashlib.sha256(f"state\0{link_code}".encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def queue_end(pipe: Pipeline, link_code: str) -> None:
    """Queue the deletion of everything that a link has in Redis."""
    pipe.delete(keys.link(link_code))
    pipe.delete(keys.state(state_of(link_code)))


async def end_others(redis: RedisClient, answer: Any, ended: str) -> None:
    """Delete the links that a newer one has replaced, except those ended already."""
    codes = [as_text(code) for code in answer]
    if not set(codes) <= {ended}:
        pipe = redis.pipeline(transaction=False)
        for code in codes:
            queue_end(pipe, code)
        await pipe.execute()
