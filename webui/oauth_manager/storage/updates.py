"""Updates of a connection that stays: a renewed pair of tokens, changed facts."""

from __future__ import annotations

from ..models import Profile
from ..token_data import TokenData
from . import canary, keys, lookup, older_keys, records, scripts
from .calls import DEADLINE, RedisClient, heed_wait, queue_wait, raw, redis_call
from .records import Stored
from .storage import Storage, Subject
from .store import Written


async def renew(
    storage: Storage,
    subject: Subject,
    token: TokenData,
    profile: Profile,
    before: Stored,
    *,
    deadline: float = DEADLINE,
) -> Written:
    """Replace refreshed tokens.

    ``CHANGED`` also if a record of the older system has just been moved: read it once more.
    """
    tokens, beside = subject.record_keys
    sealed = records.seal_token(storage, subject, token)
    async with redis_call("store refreshed tokens", deadline):
        if before.is_older:
            await older_keys.move(storage, subject)
            is_there = (await lookup.read_one(storage, subject)).sealed.tokens
            return Written.CHANGED if is_there else Written.GONE
        pipe = subject.redis.pipeline(transaction=False)
        pipe.eval(scripts.REPLACE, 1, tokens, before.sealed.tokens, sealed)
        queue_wait(subject.redis, pipe)
        if before.is_profiled:
            sealed_profile = records.seal_profile(storage, subject, profile)
            pipe.eval(scripts.REPLACE, 1, beside, before.sealed.profile, sealed_profile)
        canary.queue_beside(pipe, storage.sealer, before.sealed.tokens)
        answers = await pipe.execute()
        heed_wait(subject.redis, answers, 1)
        outcome = Written(int(answers[0]))
        if outcome is Written.DONE:
            await older_keys.clear(subject, before.sealed.older)
    return outcome


async def update_profile(
    storage: Storage, subject: Subject, profile: Profile, before: Stored
) -> bool:
    """Write the profile; ``False`` if it was removed or changed meanwhile.

    Also the first profile of a connection that an older system made.
    """
    if before.sealed.tokens and not before.sealed.profile:
        return await _begin_profile(storage, subject, profile)
    if not before.is_profiled:
        return False  # it cannot be read, and is kept as it is
    _, key = subject.record_keys
    sealed = records.seal_profile(storage, subject, profile)
    async with redis_call("store a connection's facts"):
        return await replace(subject.redis, key, before.sealed.profile, sealed)


async def _begin_profile(storage: Storage, subject: Subject, profile: Profile) -> bool:
    """Write a first profile, unless the connection has gone meanwhile."""
    redis = subject.redis
    _, key = subject.record_keys
    sealed = records.seal_profile(storage, subject, profile)
    async with redis_call("store a connection's facts"):
        pipe = redis.pipeline(transaction=False)
        pipe.set(key, sealed, nx=True)
        for place in filter(None, keys.token_places(subject.user_id, subject.place)):
            raw(pipe, "GET", place)
        is_written, *tokens = await pipe.execute(raise_on_error=False)
        if is_written and not any(tokens):
            await redis.eval(scripts.DELETE_IF_SAME, 1, key, sealed)
    return bool(is_written and any(tokens))


async def replace(redis: RedisClient, key: str, before: str, after: str) -> bool:
    """Replace one sealed value by another, if it still is there."""
    return int(await redis.eval(scripts.REPLACE, 1, key, before, after)) == 1
