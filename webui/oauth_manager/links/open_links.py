"""A person's links and proofs under way: shown without their codes, or all switched off."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import RecordUnreadable
from ..storage import keys
from ..storage.calls import RedisClient, as_text, raw, redis_call, text_of, unless_mistyped
from ..storage.keys import UserId
from ..storage.link_index import CLOSE_ALL, listed, queue_end
from ..storage.storage import Storage
from .proof_scripts import END_ALL
from .proofs import under_way


@dataclass(frozen=True, slots=True)
class OpenLink:
    """A connect link, as others than its person may see it.

    ``provider`` is ``""`` if it only signs in; ``expires_at`` is in epoch seconds;
    ``state`` is ``open``, ``waiting`` (a page waits for the code) or ``over`` (used,
    switched off, or replaced by newer ones).
    """

    provider: str
    expires_at: float
    state: str


async def read(storage: Storage, redis: RedisClient, user_id: UserId) -> tuple[OpenLink, ...]:
    """List them by provider and age.  One round trip; two if a page waits.  Reads only."""
    now = storage.clock.now()
    async with redis_call("read the open links"):
        pipe = redis.pipeline(transaction=False)
        for key in (keys.links(user_id), keys.proofs(user_id)):
            raw(pipe, "HGETALL", key)
        lists = await pipe.execute(raise_on_error=False)
        links, proofs = (unless_mistyped(entries, {}) for entries in lists)
        waiting = {i: expires for i, expires in under_way(proofs) if expires > now}
        sealed = await _sealed(redis, waiting)
    found = []
    for text, expires in zip(sealed, waiting.values(), strict=True):
        provider = _provider(storage, text)
        if provider is not None:
            found.append(OpenLink(provider, expires, "waiting"))
    at_work = {link.provider for link in found}
    for provider, code, expires in listed(links):
        # A link that was used to begin a proof is listed once.
        if expires > now and (code or provider not in at_work):
            found.append(OpenLink(provider, expires, "open" if code else "over"))
    return tuple(sorted(found, key=lambda link: (link.provider, link.expires_at)))


async def _sealed(redis: RedisClient, identifiers: Iterable[str]) -> list[str]:
    pipe = redis.pipeline(transaction=False)
    for identifier in identifiers:
        raw(pipe, "GET", keys.pending(identifier))
    return [text_of(value) for value in await pipe.execute(raise_on_error=False)]


def _provider(storage: Storage, sealed: str) -> str | None:
    """Return a proof's provider; ``None`` if the proof is over."""
    try:
        return str(storage.sealer.open("proof", None, None, sealed)["provider"])
    except RecordUnreadable:
        return None


async def cancel(redis: RedisClient, user_id: UserId) -> int:
    """End every open link and proof under way; return how many.  Later ones work.

    Once the lists are marked nothing can be used any more; deleting what they led
    to is for tidiness, and shows who was faster.
    """
    async with redis_call("switch off the open links"):
        pipe = redis.pipeline(transaction=False)
        pipe.eval(CLOSE_ALL, 1, keys.links(user_id))
        pipe.eval(END_ALL, 1, keys.proofs(user_id))
        codes, identifiers = await pipe.execute()
        for identifier in identifiers:
            pipe.delete(keys.pending(as_text(identifier)))
        for code in codes:
            queue_end(pipe, as_text(code))
        deleted: list[int] = await pipe.execute()
    return len(codes) + sum(deleted[: len(identifiers)])
