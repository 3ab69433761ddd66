"""The proof that a browser belongs to the person a link was made for.

The browser shows a short code and the person sends it to the bot in their own
chat: browser to chat, never the other way, because a code shown in chat could
be forwarded together with the link.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from . import keys
from .errors import RecordUnreadable
from .links import LinkRequest
from .requests import new_secret
from .sealing import Sealer
from .store import as_text, redis_call

CODE_ALPHABET = "BCDFGHJKMNPQRTVWXY3479"  # no vowels, no look-alikes
CODE_LENGTH = 6
TRIES = 5
MAX_OPEN = 3  # proofs a person may have open at once; the oldest gives way

# One hash for each person: proof id -> "digest:tries:status:made" (epoch seconds).
_PARTS = r"'^(%x+):(%d+):(%a+):(%d+)$'"
# ARGV: id, digest, lifetime, how many may be open.
_START = f"""
local now = tonumber(redis.call('TIME')[1])
local all, open, oldest, oldest_made = redis.call('HGETALL', KEYS[1]), 0, nil, nil
for i = 1, #all, 2 do
  local made = tonumber(select(4, string.match(all[i + 1], {_PARTS})))
  if now - made >= tonumber(ARGV[3]) then
    redis.call('HDEL', KEYS[1], all[i])
  else
    open = open + 1
    if not oldest_made or made < oldest_made then oldest, oldest_made = all[i], made end
  end
end
if open >= tonumber(ARGV[4]) then redis.call('HDEL', KEYS[1], oldest) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':0:waiting:' .. now)
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""
# ARGV: lifetime, tries allowed, digests.  Answers 'ok', or how many tries are left.
# A wrong code counts against every open proof: one cannot tell which was meant.
_CONFIRM = f"""
local now = tonumber(redis.call('TIME')[1])
local all, left = redis.call('HGETALL', KEYS[1]), 0
local waiting = {{}}
for i = 1, #all, 2 do
  local digest, tries, status, made = string.match(all[i + 1], {_PARTS})
  if status == 'waiting' and now - tonumber(made) < tonumber(ARGV[1]) then
    for a = 3, #ARGV do
      if ARGV[a] == digest then
        redis.call('HSET', KEYS[1], all[i], digest .. ':' .. tries .. ':confirmed:' .. made)
        return 'ok'
      end
    end
    waiting[#waiting + 1] = {{all[i], digest, tonumber(tries) + 1, made}}
  end
end
for _, w in ipairs(waiting) do
  if w[3] >= tonumber(ARGV[2]) then
    redis.call('HDEL', KEYS[1], w[1])
  else
    redis.call('HSET', KEYS[1], w[1], w[2] .. ':' .. w[3] .. ':waiting:' .. w[4])
    left = math.max(left, tonumber(ARGV[2]) - w[3])
  end
end
return tostring(left)
"""


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof under way, as the browser that shows its code sees it."""

    request: LinkRequest
    code: str = field(repr=False)
    confirmed: bool
    expires_at: float  # epoch seconds


def shown(code: str) -> str:
    """The code as it is shown: two groups of three."""
    return f"{code[:3]} {code[3:]}"


def as_typed(text: str) -> str:
    """What a person sent, reduced to a code: case, blanks and dashes do not matter."""
    return "".join(c for c in text.upper() if not c.isspace() and c not in "-.`*_")


class Proofs:
    """Starts, confirms and consumes proofs.

    The browser holds a secret (its cookie); Redis knows only that secret's
    hash, so nothing found there opens a proof.
    """

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    async def start(self, redis: Any, request: LinkRequest) -> str:
        """Begin a proof and return the secret the browser is to keep.  One round trip."""
        browser_secret = new_secret()
        identifier = _identifier(browser_secret)
        code = "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH))
        payload = {"scopes": list(request.scopes), "code": code}
        sealed = self._sealer.seal("proof", request.user_id, request.provider, payload)
        digest = self._sealer.digests("proof", f"{request.user_id}\0{code}")[0]
        async with redis_call("start a proof"):
            pipe = redis.pipeline(transaction=False)
            pipe.set(keys.pending(identifier), sealed, ex=keys.LINK_CODE_TTL)
            pipe.eval(
                _START,
                1,
                keys.proofs(request.user_id),
                identifier,
                digest,
                keys.LINK_CODE_TTL,
                MAX_OPEN,
            )
            await pipe.execute()
        return browser_secret

    async def confirm(self, redis: Any, user_id: str, typed: str) -> int | None:
        """Take a code the person sent in chat: ``None`` if it matches, else the tries left.

        Valid only for the person the link was made for.
        """
        code = as_typed(typed)
        digests = self._sealer.digests("proof", f"{keys.check_user_id(user_id)}\0{code}")
        async with redis_call("confirm a proof"):
            answer = as_text(
                await redis.eval(
                    _CONFIRM, 1, keys.proofs(user_id), keys.LINK_CODE_TTL, TRIES, *digests
                )
            )
        return None if answer == "ok" else int(answer)

    async def look(self, redis: Any, browser_secret: str) -> Proof | None:
        """Where the browser's proof stands; ``None`` once it is over.  Two round trips."""
        if not keys.is_one_time_value(browser_secret):
            return None
        identifier = _identifier(browser_secret)
        async with redis_call("read a proof"):
            pipe = redis.pipeline(transaction=False)
            pipe.get(keys.pending(identifier)).ttl(keys.pending(identifier))
            sealed, ttl = await pipe.execute()
        try:
            record = self._sealer.open("proof", None, None, as_text(sealed))
        except RecordUnreadable:
            return None
        request = LinkRequest(record["user_id"], record["provider"], tuple(record["scopes"]))
        async with redis_call("read a proof"):
            entry = as_text(await redis.hget(keys.proofs(request.user_id), identifier))
        if not entry:
            return None
        confirmed = entry.split(":")[2] == "confirmed"
        return Proof(request, record["code"], confirmed, time.time() + ttl)

    async def take(self, redis: Any, browser_secret: str) -> LinkRequest | None:
        """Consume a confirmed proof: the request for exactly one caller, else ``None``."""
        proof = await self.look(redis, browser_secret)
        if proof is None or not proof.confirmed:
            return None
        async with redis_call("use a proof"):
            won = await redis.delete(keys.pending(_identifier(browser_secret)))
        await self._forget(redis, proof.request, browser_secret)
        return proof.request if won else None

    async def cancel(self, redis: Any, browser_secret: str) -> None:
        """End a proof that somebody declined."""
        proof = await self.look(redis, browser_secret)
        if proof is not None:
            async with redis_call("cancel a proof"):
                await redis.delete(keys.pending(_identifier(browser_secret)))
            await self._forget(redis, proof.request, browser_secret)

    async def _forget(self, redis: Any, request: LinkRequest, browser_secret: str) -> None:
        async with redis_call("forget a proof"):
            await redis.hdel(keys.proofs(request.user_id), _identifier(browser_secret))


def _identifier(browser_secret: str) -> str:
    return hashlib.sha256(browser_secret.encode()).hexdigest()
