"""Many people with connections, stored as fast as they can be sealed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import connected, connection_key, opened, text_at, tokens_key
from webui.oauth_manager import OAuthManager

_PAGE = 500
KINDS = {"tokens": tokens_key, "connection": connection_key}


async def populate(
    manager: OAuthManager,
    fake: FakeProvider,
    redis: Redis,
    count: int,
    *,
    providers: Sequence[str] = ("google",),
    expires_at: float | None = None,
) -> list[str]:
    """Give as many people what one has who connects; return their ids.

    ``expires_at`` (epoch seconds) is that of their tokens, if not the usual one.
    """
    people = [f"person-{number}" for number in range(count)]
    for provider in providers:
        await connected(manager, fake, redis, "model", provider)
        if expires_at is not None:
            token = await opened(manager, redis, "model", provider)
            if token is None:
                raise RuntimeError("nothing is connected")
            token.expires_at = expires_at
            await manager.store_token(redis, "model", token)
        for kind in KINDS:
            await _copy(manager, redis, kind, provider, people)
        await manager.delete_token(redis, "model", provider)
    return people


async def records_of(
    manager: OAuthManager, redis: Redis, person: str, providers: Sequence[str]
) -> list[dict[str, Any]]:
    """Return what is stored of each connection: the record of each kind, opened."""
    return [
        await _open(manager, redis, kind, provider, person)
        for provider in providers
        for kind in KINDS
    ]


async def _open(
    manager: OAuthManager, redis: Redis, kind: str, provider: str, person: str
) -> dict[str, Any]:
    text = await text_at(redis, KINDS[kind](person, provider))
    return manager._storage.sealer.open(kind, person, provider, text)


async def _copy(
    manager: OAuthManager, redis: Redis, kind: str, provider: str, people: Sequence[str]
) -> None:
    sealer, key_of = manager._storage.sealer, KINDS[kind]
    record = await _open(manager, redis, kind, provider, "model")
    for start in range(0, len(people), _PAGE):
        sealed = {
            key_of(person, provider): sealer.seal(kind, person, provider, record)
            for person in people[start : start + _PAGE]
        }
        await redis.mset(sealed)
