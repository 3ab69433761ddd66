"""Offers: tokens of a fresh authorization, kept aside until the person has answered."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import RecordUnreadable
from ..models import Account, Profile
from ..protocol.requests import new_secret
from ..shapes import shaped
from ..token_data import TokenData
from . import keys, scripts
from .calls import Pipeline, as_text, raw, read_text, redis_call, run, take_text
from .storage import Storage, Subject

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
    ``slot`` is that of the connected account; ``can_add``: the new one may be put beside it,
    under the name ``name`` if one was asked for.
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
    slot: str = ""
    name: str = ""
    can_add: bool = False

    @property
    def new(self) -> Account:
        return self.profile.account

    def is_over(self, now: float) -> bool:
        """Return whether the time to answer has run out at ``now`` (epoch seconds)."""
        return self.until <= now


def new_offer(
    storage: Storage,
    old: Account,
    token: TokenData,
    profile: Profile,
    *,
    is_replacing: bool,
    handle: str,
    return_to: str,
    **more: Any,
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
        until=storage.clock.now() + keys.PARKED_TTL,
        **more,
    )


async def put(storage: Storage, subject: Subject, offer: SwitchOffer) -> SwitchOffer | None:
    """Keep the offer; return the one it replaces, if any."""
    payload = {
        **{name: getattr(offer, name) for name in ("id", "is_replacing", "handle")},
        **{name: getattr(offer, name) for name in ("return_to", "until")},
        **{name: value for name in ("slot", "name") if (value := getattr(offer, name))},
        **({} if offer.can_add is offer.is_replacing else {"can_add": offer.can_add}),
        "old": asdict(offer.old),
        "token": offer.token.to_record(),
        "profile": asdict(offer.profile),
    }
    sealed = storage.sealer.seal("switch", subject.user_id, subject.provider.name, payload)
    value, seconds = f"{offer.id}:{sealed}", keys.PARKED_TTL + OFFER_SECONDS
    async with redis_call("keep another account aside"):
        before = await run(subject.redis, _PUT, _key(subject), value, seconds)
    return opened(storage, subject, as_text(before))


async def peek(storage: Storage, subject: Subject) -> SwitchOffer | None:
    """Return the offer and leave it as it is, even if its time is over."""
    async with redis_call("look at another account"):
        value = await read_text(subject.redis, _key(subject))
    return opened(storage, subject, value)


async def claim(storage: Storage, subject: Subject, offer_id: str) -> SwitchOffer | None:
    """Return the offer there is, consumed if it has this id and left as it is if not."""
    async with redis_call("take another account"):
        value = await run(subject.redis, _TAKE, _key(subject), offer_id)
    return opened(storage, subject, as_text(value))


async def take(storage: Storage, subject: Subject) -> SwitchOffer | None:
    """Consume the offer, whichever it is."""
    async with redis_call("take another account"):
        value = await take_text(subject.redis, _key(subject))
    return opened(storage, subject, value)


def queue_take(pipe: Pipeline, subject: Subject) -> None:
    """Queue a :func:`take` on a pipeline; its answer is for :func:`opened`, as text."""
    raw(pipe, "GETDEL", _key(subject))


def opened(storage: Storage, subject: Subject, value: str) -> SwitchOffer | None:
    """Open the offer in a record; None if it holds none."""
    offer_id, _, sealed = value.partition(":")
    try:
        record = storage.sealer.open("switch", subject.user_id, subject.provider.name, sealed)
        record = {"can_add": record.get("is_replacing", True), **record}
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


def _key(subject: Subject) -> str:
    return keys.switch(subject.user_id, subject.provider.name)
