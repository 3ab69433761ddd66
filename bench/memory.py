"""Redis bytes of a person with four connections, by what they are for."""

from __future__ import annotations

from redis.asyncio import Redis

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import ACCOUNTS, connected, keys_at, opened
from webui.oauth_manager import OAuthManager
from webui.oauth_manager.values import replace

FLOOR = "floor: the four sealed values, tokens"
PERSON = "alice@bot.example"
# Characters of an access token and a refresh token, about as long as the services give them.
LENGTHS = {
    "discord": (30, 30),
    "github": (40, 0),
    "google": (220, 103),
    "microsoft": (1600, 1100),
}
PATTERNS = {
    FLOOR: f"oauth_tokens:{PERSON}:*",
    "facts of the connections": f"oauth_connection:{PERSON}:*",
    "index of accounts, for support": "oauth_account:*",
    "timeline": f"oauth_events:{PERSON}",
}


async def held(redis: Redis, fake: FakeProvider, manager: OAuthManager) -> dict[str, int]:
    """Connect one person with each provider, in an empty Redis, and weigh all keys of theirs."""
    await redis.flushall()
    for provider, (access, refresh) in LENGTHS.items():
        fake.account = ACCOUNTS[provider]
        await connected(manager, fake, redis, PERSON, provider)
        token = await opened(manager, redis, PERSON, provider)
        if token is None:
            raise RuntimeError("nothing is connected")
        longer = replace(token, access_token="a" * access, refresh_token="r" * refresh)
        await manager.store_token(redis, PERSON, longer)
    return {what: await _weight(redis, pattern) for what, pattern in PATTERNS.items()}


async def _weight(redis: Redis, pattern: str) -> int:
    sizes = [await redis.memory_usage(key, samples=0) for key in await keys_at(redis, pattern)]
    return sum(size or 0 for size in sizes)
