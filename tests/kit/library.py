"""The library as a deployment sets it up, against the fake provider."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
from redis.asyncio import Redis

from tests.kit.clock import FakeClock
from tests.kit.fake_provider import FakeProvider
from webui.oauth_manager import (
    Attempt,
    Connection,
    Health,
    OAuthManager,
    OAuthProvider,
    TokenData,
)
from webui.oauth_manager.protocol.transport import Transport
from webui.oauth_manager.storage import keys, lookup
from webui.oauth_manager.storage.storage import Subject

KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
OTHER_KEY = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
NO_REDIS: Any = None  # for what ends before Redis is asked
BASE_URL = "https://bot.example"
FAKE_URL = "https://provider.example"
BUILT_IN = ("discord", "github", "google", "microsoft")
ISSUERS = {
    "/google": "https://accounts.google.com",
    "/discord": "https://discord.com",
    "/github": "https://github.com/login/oauth",
}
# One account in the answer of each provider, with the name that is unique there.
ACCOUNTS: dict[str, dict[str, Any]] = {
    "discord": {"user": {"id": "42", "username": "mona"}},
    "github": {"id": 42, "login": "mona"},
    "google": {"sub": "42", "email": "mona@example.org", "email_verified": True},
    "microsoft": {"id": "42", "userPrincipalName": "mona@contoso.example"},
}
OVER = 1000.0  # epoch seconds, long ago


def tokens_key(user_id: str, provider: str) -> str:
    return f"stargazer:oauth_tokens:{user_id}:{provider}"


def connection_key(user_id: str, provider: str) -> str:
    return f"stargazer:oauth_connection:{user_id}:{provider}"


def revoke_key(user_id: str, provider: str) -> str:
    return f"stargazer:oauth_revoke:{user_id}:{provider}"


def providers_config(
    fake: FakeProvider, base_url: str = FAKE_URL, names: Iterable[str] = BUILT_IN
) -> dict[str, dict[str, Any]]:
    """Each provider at a path prefix of its own at the fake, with its own habits kept."""
    config: dict[str, dict[str, Any]] = {}
    for name in names:
        config[name] = {
            **fake.endpoints(base_url, f"/{name}"),
            "client_id": fake.client_id,
            "client_secret": fake.client_secret,
            "issuer": ISSUERS.get(f"/{name}", ""),
        }
    if "github" in config:
        config["github"]["revoke_url"] = f"{base_url}/github/applications/{{client_id}}/grant"
    if "microsoft" in config:
        del config["microsoft"]["revoke_url"]
    return config


def fake_provider(**settings: Any) -> FakeProvider:
    """A fake whose callbacks carry ``iss`` where the real ones do."""
    return FakeProvider(issuers=dict(ISSUERS), **settings)


def manager_for(
    fake: FakeProvider, *, key: str = KEY, strict: bool = False, base_url: str = FAKE_URL
) -> OAuthManager:
    """A manager whose network is the fake alone, wherever it thinks that the providers are."""
    transport = Transport(httpx.ASGITransport(fake))
    return impatient(
        OAuthManager(
            key,
            BASE_URL,
            providers_config(fake, base_url),
            strict=strict,
            transport=transport,
            clock=FakeClock(),
        )
    )


def time_passes(manager: OAuthManager, seconds: float) -> None:
    """So much later, by the clock of this manager; Redis has its own."""
    assert isinstance(manager.clock, FakeClock)
    manager.clock.advance(seconds)


def impatient(manager: OAuthManager) -> OAuthManager:
    """The same; it does not wait before it asks a provider, or Redis, once more."""
    manager._services.client.pauses = ()
    manager._services.patience = 0.0
    return manager


async def checked_twice(manager: OAuthManager, redis: Any, user_id: str, provider: str) -> Health:
    """Two checks with more than a minute between them."""
    await manager.check(redis, user_id, provider)
    time_passes(manager, 61)
    return await manager.check(redis, user_id, provider)


def callback_query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


async def began(
    manager: OAuthManager, fake: FakeProvider, redis: Any, user_id: str, provider: str
) -> tuple[Attempt, str]:
    """An authorization that the person allowed in a browser: the taken attempt and the code."""
    url = await manager.begin(redis, user_id, provider, browser="a browser")
    query = callback_query(fake.authorize(url))
    attempt = await manager.links.take_attempt(redis, query["state"], "a browser")
    assert attempt is not None
    manager.check_issuer(provider, query.get("iss"))
    return attempt, query["code"]


async def connected(
    manager: OAuthManager, fake: FakeProvider, redis: Any, user_id: str, provider: str
) -> Connection:
    """The whole way from the link to the stored connection."""
    attempt, code = await began(manager, fake, redis, user_id, provider)
    connection = await manager.complete(redis, attempt, code)
    assert isinstance(connection, Connection)
    return connection


def granted(
    fake: FakeProvider, provider: str, *, expires_at: float = OVER, scope: str = "one two"
) -> TokenData:
    """Tokens the fake knows, which are over unless told otherwise."""
    answer = fake.grant(f"/{provider}", scope)
    return TokenData(
        answer["access_token"],
        answer.get("refresh_token", ""),
        expires_at,
        scope.split(),
        provider=provider,
    )


async def put_copy(redis: Any, source: str, target: str) -> None:
    """Write a text under another name too, which a Cluster may keep elsewhere."""
    await redis.set(target, await text_at(redis, source))


async def put_strangers(redis: Any, count: int) -> None:
    """Write keys that are none of ours."""
    pipe = redis.pipeline(transaction=False)
    for n in range(count):
        pipe.set(f"another's:{n}", "")
    await pipe.execute()


async def opened(
    manager: OAuthManager, redis: Any, user_id: str = "u1", provider: str = "google"
) -> TokenData | None:
    """Return the stored tokens, valid or not, without asking anybody."""
    place = manager._subject(redis, user_id, provider)
    return await lookup.read_token(manager._storage, place)


def subject(redis: Any, user_id: str, provider: str = "google") -> Subject:
    """One connection, without a manager that knows the provider."""
    known = OAuthProvider(provider, "https://p.example/a", "https://p.example/t", label=provider)
    return Subject(redis, keys.check_user_id(user_id), known)


async def age(
    manager: OAuthManager, redis: Any, user_id: str, provider: str, expires_at: float = OVER
) -> None:
    """Time passes for one stored token."""
    token = await opened(manager, redis, user_id, provider)
    assert token is not None
    token.expires_at = expires_at
    await manager.store_token(redis, user_id, token)


def soon(seconds: float = 30.0) -> float:
    """An expiry within the refresh buffer, and still ahead."""
    return time.time() + seconds


async def text_at(redis: Redis, key: str) -> str:
    """The text stored at a key, whichever way the client decodes."""
    value = await redis.get(key)
    assert value is not None
    return value.decode() if isinstance(value, bytes) else value


async def keys_at(redis: Redis, pattern: str = "*") -> list[str]:
    """Names of ours in Redis, in their order."""
    found = await redis.keys(f"stargazer:{pattern}")
    return sorted(key.decode() if isinstance(key, bytes) else key for key in found)


async def dumped(redis: Redis) -> bytes:
    """Everything in Redis, names and values."""
    names = await keys_at(redis)
    return b"\n".join([name.encode() + bytes(await redis.dump(name) or b"") for name in names])


async def let_time_pass(redis: Redis, seconds: float = 620) -> None:
    """So much later, what the bot says at its time may be due."""
    waiting: Any = await redis.zrange(keys.DUE, 0, -1, withscores=True)
    for member, at in waiting:
        await redis.zadd(keys.DUE, {member: at - seconds})
