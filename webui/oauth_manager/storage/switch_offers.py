"""Tokens of a fresh authorization, kept aside until the person has answered."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import RecordUnreadable
from ..models import Account, Profile
from ..protocol.requests import new_secret
from ..shapes import shaped
from ..token_data import TokenData
from . import keys, scripts
from .calls import Pipeline, RedisClient, as_text, raw, read_text, redis_call, run, take_text
from .sealer import Sealer

# Seconds that an offer is kept after its question was over: nobody may have answered,
# and the grant behind it is still to be ended.
OFFER_SECONDS = 3600

# The value is "id:sealed".  ARGV: the new value, its lifetime.  Answers the old one.
_PUT = f"""{scripts.NOW}
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return now or ''
"""
# ARGV: an id.  Answers the value; it is deleted if it was of that id.
_TAKE = f"""{scripts.NOW}
if now and string.sub(now, 1, #ARGV[1] + 1) == ARGV[1] .. ':' then redis.call('DEL', KEYS[1]) end
return now or ''
"""


@dataclass(frozen=True, slots=True)
class SwitchOffer:
    """A fresh authorization that waits for the person's answer.

    An answer names ``id``, and counts until ``until`` (epoch seconds).  ``old`` is the
    connected account, as far as it is known, and ``is_replacing`` whether there is one.
    ``handle`` is set if the authorization began in no browser: the name of the new
    account that the person is asked about.  ``return_to`` is that of the attempt.
    """

    id: str
    provider: str
    old: Account
    token: TokenData = field(repr=False)
    profile: Profile
    is_replacing: bool = True
    handle: str = ""
    return_to: str = "list"
    until: float = 0.0

    @property
    def new(self) -> Account:
        return self.profile.account

    @property
    def is_over(self) -> bool:
        """Return whether the time to answer has run out."""
        return self.until <= time.time()


def new_offer(
    old: Account,
    token: TokenData,
    profile: Profile,
    *,
    is_replacing: bool,
    handle: str,
    return_to: str,
) -> SwitchOffer:
    """Build an offer with an id of its own, to be answered within ``PARKED_TTL`` seconds."""
    return SwitchOffer(
        new_secret(),
        token.provider,
        old,
        token,
        profile,
        is_replacing=is_replacing,
        handle=handle,
        return_to=return_to,
        until=time.time() + keys.PARKED_TTL,
    )


class Switches:
    """The sealed offers, at most one for each connection."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    async def put(self, redis: RedisClient, user_id: str, offer: SwitchOffer) -> SwitchOffer | None:
        """Keep the offer; return the one it replaces, if any."""
        payload = {
            **{name: getattr(offer, name) for name in ("id", "is_replacing", "handle")},
            **{name: getattr(offer, name) for name in ("return_to", "until")},
            "old": asdict(offer.old),
            "token": offer.token.to_record(),
            "profile": asdict(offer.profile),
        }
        sealed = self._sealer.seal("switch", user_id, offer.provider, payload)
        value, seconds = f"{offer.id}:{sealed}", keys.PARKED_TTL + OFFER_SECONDS
        key = keys.switch(user_id, offer.provider)
        async with redis_call("keep another account aside"):
            before = await run(redis, _PUT, key, value, seconds)
        return self.open(user_id, offer.provider, as_text(before))

    async def peek(self, redis: RedisClient, user_id: str, provider: str) -> SwitchOffer | None:
        """Return the offer and leave it as it is, even if its time is over."""
        async with redis_call("look at another account"):
            value = await read_text(redis, keys.switch(user_id, provider))
        return self.open(user_id, provider, value)

    async def claim(
        self, redis: RedisClient, user_id: str, provider: str, offer_id: str
    ) -> SwitchOffer | None:
        """Return the offer there is, consumed if it has this id and left as it is if not."""
        async with redis_call("take another account"):
            value = await run(redis, _TAKE, keys.switch(user_id, provider), offer_id)
        return self.open(user_id, provider, as_text(value))

    def take(self, pipe: Pipeline, user_id: str, provider: str) -> Any:
        """Queue the removal of the offer on a pipeline, or on a client: then await it.

        The answer is for :meth:`open`.
        """
        return raw(pipe, "GETDEL", keys.switch(user_id, provider))

    async def taken(self, redis: RedisClient, user_id: str, provider: str) -> SwitchOffer | None:
        """Consume the offer, whichever it is."""
        async with redis_call("take another account"):
            value = await take_text(redis, keys.switch(user_id, provider))
        return self.open(user_id, provider, value)

    def open(self, user_id: str, provider: str, value: str) -> SwitchOffer | None:
        """Open the offer in a record; None if it holds none."""
        offer_id, _, sealed = value.partition(":")
        try:
            record = self._sealer.open("switch", user_id, provider, sealed)
            offer = shaped(
                SwitchOffer,
                record,
                old=shaped(Account, record.get("old")),
                token=TokenData.from_dict(record["token"]),
                profile=Profile.from_dict(record.get("profile")),
            )
        except (RecordUnreadable, KeyError, TypeError, ValueError):
            return None
        return offer if offer.id == offer_id else None
