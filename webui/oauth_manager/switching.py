"""Coming back from the provider as somebody else: kept aside until the person has chosen."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from . import keys
from .errors import RecordUnreadable
from .models import Account, Profile, TokenData
from .redis_io import as_text, raw, redis_call
from .sealing import Sealer


@dataclass(frozen=True, slots=True)
class SwitchOffer:
    """A fresh connection of another account than the one that is connected."""

    provider: str
    old: Account
    token: TokenData = field(repr=False)
    profile: Profile

    @property
    def new(self) -> Account:
        return self.profile.account


class Switches:
    """One offer for each connection, sealed, for ``PARKED_TTL`` seconds."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    async def put(self, redis: Any, user_id: str, offer: SwitchOffer) -> None:
        """Keep the offer; it replaces an older one."""
        payload = {
            "old": asdict(offer.old),
            "token": offer.token.to_record(),
            "profile": asdict(offer.profile),
        }
        sealed = self._sealer.seal("switch", user_id, offer.provider, payload)
        async with redis_call("keep another account aside"):
            await redis.set(keys.switch(user_id, offer.provider), sealed, ex=keys.PARKED_TTL)

    async def peek(self, redis: Any, user_id: str, provider: str) -> SwitchOffer | None:
        """The offer, leaving it as it is."""
        async with redis_call("look at another account"):
            value = await redis.get(keys.switch(user_id, provider))
        return self.open(user_id, provider, as_text(value))

    def take(self, pipe: Any, user_id: str, provider: str) -> Any:
        """Queue the end of the offer on a pipeline, or on a client: then await it.

        The answer is for :meth:`open`.
        """
        return raw(pipe, "GETDEL", keys.switch(user_id, provider))

    async def taken(self, redis: Any, user_id: str, provider: str) -> SwitchOffer | None:
        """Consume the offer."""
        async with redis_call("take another account"):
            value = await self.take(redis, user_id, provider)
        return self.open(user_id, provider, as_text(value))

    def open(self, user_id: str, provider: str, sealed: str) -> SwitchOffer | None:
        """The offer that a record holds; None if it holds none."""
        try:
            record = self._sealer.open("switch", user_id, provider, sealed)
            profile = Profile.from_dict(record["profile"])
            token = TokenData.from_dict(record["token"])
            return SwitchOffer(provider, Account(**record["old"]), token, profile)
        except (RecordUnreadable, KeyError, TypeError, ValueError):
            return None
