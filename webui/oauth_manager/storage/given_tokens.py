"""Tokens that another program got, stored as they are given."""

from __future__ import annotations

from ..token_data import TokenData, new_generation
from ..values import replace
from . import canary, lookup, older_keys, records
from .calls import heed_wait, queue_wait, redis_call
from .storage import Storage, Subject
from .store import is_marked


async def put(storage: Storage, subject: Subject, token: TokenData) -> None:
    """Store tokens, replacing any.

    The first tokens in a Redis come with the canary.  Raises ``WrongKey``.
    """
    redis = subject.redis
    key, _ = subject.record_keys
    stored = await lookup.read_one(storage, subject)
    generation = token.generation or _generation(stored.token, token) or new_generation()
    token = replace(token, generation=generation, has_others=is_marked(subject, stored))
    await canary.require_for(redis, storage.sealer, key, subject.provider.name, "store tokens")
    async with redis_call("store tokens"):
        await older_keys.make_room(storage, subject)
        pipe = redis.pipeline(transaction=False)
        pipe.set(key, records.seal_token(storage, subject, token))
        queue_wait(redis, pipe)
        heed_wait(redis, await pipe.execute(), -1)
        await older_keys.take(storage, subject)


def _generation(stored: TokenData | None, token: TokenData) -> str:
    """Return the stored generation if ``token`` is of the same authorization; else ``""``."""
    if stored is None:
        return ""
    held = {stored.access_token, stored.refresh_token} - {""}
    is_same = not held.isdisjoint((token.access_token, token.refresh_token))
    return stored.generation if is_same else ""
