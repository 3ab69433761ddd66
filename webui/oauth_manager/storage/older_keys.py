"""Token records under the older system's keys: found beside ours, and moved on the first write.

The older system wrote a user id into its key as it was; ours are encoded.  So tokens of an id
such as ``@ann:example.org`` have two places, which no command reaches at once: they may be on
two servers of a cluster.  Ours counts if both hold something.  A write begins with a claim:

1. a claim is put in our place, if nothing is there;
2. the older place's present value is the one that the claim is for;
3. our place is written by compare-and-set against the claim;
4. the older place is cleared, if it still holds what was seen.

A disconnect clears the older place first and ours after it, so that step 2 finds nothing or
step 3 no claim.  A crash leaves the record where it was, or in both places.
"""

from __future__ import annotations

import secrets

from ..errors import RecordUnreadable
from . import keys, scripts
from .calls import RedisClient, exact, read_text
from .sealer import Sealer

CLAIM_MS = 10_000  # longer than any call that writes
_CLAIM = "moving:"  # no sealed record begins like this


def is_claim(text: str) -> bool:
    """Tell whether a place only waits for a record that is being moved there."""
    return text.startswith(_CLAIM)


class OlderKeys:
    """Access to the older place.  Callers bound and name the Redis calls."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def in_use(self, user_id: str, provider: str, ours: str, older: str) -> tuple[str, str]:
        """Return the tokens that count, and those in the older place, from both places' values.

        Those of somebody else are not among them: the older place of one id can be ours of
        another (``a%3Ab`` and ``a:b``).  A record of the older system names no user and
        belongs to the literal id in its key; one of ours names its user.
        """
        if keys.encoded(user_id) == user_id:
            return ours, ""  # there is one place
        is_ours = not is_claim(ours) and not self._other(user_id, provider, ours)
        theirs = older if self._is_of(user_id, older) else ""
        return (ours if is_ours else "") or theirs, theirs

    def _other(self, user_id: str, provider: str, ours: str) -> str:
        """Return the id whose older record is in our place, ``""`` if none is."""
        other = keys.encoded(user_id)
        try:
            if ours and other != user_id and self._sealer.is_older(ours):
                self._sealer.open("tokens", keys.check_user_id(other), provider, ours)
                return other
        except (RecordUnreadable, ValueError):
            pass
        return ""

    def _is_of(self, user_id: str, older: str) -> bool:
        """Tell whether the older place holds this person's record.

        One that nobody can open counts as theirs, unless it may be ours of another id.
        """
        try:
            return bool(older) and self._sealer.is_older(older)
        except RecordUnreadable:
            return not keys.decoded(user_id)

    async def read(self, redis: RedisClient, user_id: str, provider: str) -> str:
        """Read this person's record in the older place, ``""`` if there is none."""
        _, older = keys.token_places(user_id, provider)
        return self.in_use(user_id, provider, "", await read_text(redis, older))[1] if older else ""

    async def clear(self, redis: RedisClient, user_id: str, provider: str, seen: str) -> bool:
        """Empty the older place if it still holds what was seen there."""
        if not seen:
            return False
        _, older = keys.token_places(user_id, provider)
        return int(await redis.eval(scripts.DELETE_IF_SAME, 1, older, exact(seen))) == 1

    async def take(self, redis: RedisClient, user_id: str, provider: str) -> None:
        """Empty the older place, whatever this person has there."""
        while seen := await self.read(redis, user_id, provider):
            await self.clear(redis, user_id, provider, seen)

    async def claim(
        self, redis: RedisClient, user_id: str, provider: str, expected: str = ""
    ) -> str:
        """Claim our place for the older record, and return the claim.

        ``""`` if our place is taken, or the older one is empty or not as ``expected``, if given.
        """
        await self.make_room(redis, user_id, provider)
        ours = keys.tokens(user_id, provider)
        text = _CLAIM + secrets.token_hex(16)
        if not int(await redis.eval(scripts.CLAIM, 1, ours, text, CLAIM_MS)):
            return ""
        now = await self.read(redis, user_id, provider)
        if now and now == (expected or now):
            return text
        await redis.eval(scripts.DELETE_IF_SAME, 1, ours, text)
        return ""

    async def make_room(self, redis: RedisClient, user_id: str, provider: str) -> None:
        """Move another person's older record out of our place."""
        ours, older = keys.token_places(user_id, provider)
        if older and (other := self._other(user_id, provider, await read_text(redis, ours))):
            await self.move(redis, other, provider)
            if self._other(user_id, provider, await read_text(redis, ours)):
                raise RecordUnreadable("another person's record is in the way")

    async def move(self, redis: RedisClient, user_id: str, provider: str) -> bool:
        """Move the older record to our place, sealed as ours; return whether it is there alone.

        The record may change meanwhile, or our place be taken: then ours counts, and the older
        one goes if ours can be read.  Raises ``RecordUnreadable``, and everything stays as it is.
        """
        seen = await self.read(redis, user_id, provider)
        if not seen:
            return False
        record = self._sealer.open("tokens", user_id, provider, seen)
        sealed = self._sealer.seal("tokens", user_id, provider, record)
        ours = keys.tokens(user_id, provider)
        if claim := await self.claim(redis, user_id, provider, seen):
            is_ours = int(await redis.eval(scripts.REPLACE, 1, ours, claim, sealed)) == 1
        else:
            now = await read_text(redis, ours)
            is_ours = bool(now) and not is_claim(now)
            if is_ours:
                self._sealer.open("tokens", user_id, provider, now)
        return is_ours and await self.clear(redis, user_id, provider, seen)

    async def remove(self, redis: RedisClient, user_id: str, provider: str, seen: str) -> int:
        """Empty the older place and, if ours is a claim, ours too: for a disconnect.

        1 if it held what was ``seen``, 0 if nothing is there any more, -1 if something else is.
        """
        is_cleared = await self.clear(redis, user_id, provider, seen)
        ours = keys.tokens(user_id, provider)
        if int(await redis.eval(scripts.UNCLAIM, 1, ours)):
            # Another person's record may be there: that is not ours to remove, and
            # stays.
            now = await read_text(redis, ours)
            if not self._other(user_id, provider, now):
                return -1
        if is_cleared:
            return 1
        return -1 if await self.read(redis, user_id, provider) else 0
