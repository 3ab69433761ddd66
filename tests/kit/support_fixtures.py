"""Somebody with a connection in every condition, for the tests of the support pages."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.kit.library import connection_key, tokens_key
from tests.kit.site_fixtures import Browser, Place, site_at
from webui.oauth_manager import Account, OAuthManager, Profile, TokenData
from webui.oauth_manager.journal import notices
from webui.oauth_manager.storage.records import seal_profile, seal_token

AUDIT = "stargazer:oauth_audit"
DAY = 86_400.0
# A secret of every kind stands in these; each is recognised by its own end.
CANARY = "c4nary-0f-mona"
ACCOUNT = "mona.lisa@example.org"
# Every way in which an id can be hard to put into an address.
IDS = (
    "ann",
    "ann/preview",
    "a\\b",
    "100%",
    "%2F",
    "%252e",
    "a:b*?[c]",
    "a b",
    ".",
    "..",
    "...",
    "..a",
    "ann#1&reason=x;y",
    "a+b=c@d~e",
    "ünï\u0301çødé",
    "日本語",
    "\u202eann",
    "x" * 255,
)


async def put(
    manager: OAuthManager,
    redis: Any,
    user: str,
    provider: str,
    profile: Profile,
    token: TokenData | None = None,
) -> None:
    """Records as they would stand after a while."""
    here = manager._storage, manager._subject(redis, user, provider)
    await redis.set(connection_key(user, provider), seal_profile(*here, profile))
    if token:
        await redis.set(tokens_key(user, provider), seal_token(*here, token))


def token(provider: str, scopes: list[str], *, refresh: bool = True) -> TokenData:
    return TokenData(
        f"access-{CANARY}-{provider}",
        f"refresh-{CANARY}-{provider}" if refresh else "",
        time.time() + 3600 if refresh else 0.0,
        scopes,
        provider=provider,
    )


async def settle(manager: OAuthManager, redis: Any, user: str = "mona") -> None:
    """Four services: working, limited, ended, and unreadable."""
    now = time.time()
    account = Account("42", ACCOUNT)
    usual = {
        "account": account,
        "connected_at": now - 40 * DAY,
        "renewed_at": now - DAY,
        "checked_at": now - 2 * DAY,
    }
    await put(
        manager,
        redis,
        user,
        "github",
        Profile(**usual, used_at=now - 600),  # type: ignore[arg-type]
        token("github", ["read:user"], refresh=False),
    )
    asked = tuple(manager.providers["google"].scopes)
    await put(
        manager,
        redis,
        user,
        "google",
        Profile(**usual, requested_scopes=(*asked, "odd:one")),  # type: ignore[arg-type]
        token("google", list(asked)[:1]),
    )
    ended = Profile(
        **usual,  # type: ignore[arg-type]
        problem="invalid_grant",
        problem_since=now - DAY,
        problem_trace="0a1b2c3d-trace",
    )
    await put(manager, redis, user, "discord", ended)
    await redis.set(tokens_key(user, "microsoft"), f"gAAAA-{CANARY}-sealed")


async def records(redis: Any) -> list[dict[str, Any]]:
    """The audit as it stands, oldest first."""
    return [json.loads(entry[b"record"]) for _, entry in await redis.xrange(AUDIT)]


def own_copies(user: str) -> str:
    return f"{AUDIT}:{user}"


async def told(manager: OAuthManager, redis: Any) -> list[tuple[str, str, str]]:
    """Return the notices that the bot was given: kind, person, provider."""
    entries = await redis.xrange("stargazer:oauth_notices")
    sealed = [entry[b"sealed"].decode() for _, entry in entries]
    found = [notices._open(manager._storage, text) for text in sealed]
    return [(n.kind.value, n.user_id, n.provider) for n in found if n]


# For the modules that import them.


@pytest.fixture
async def office(redis_url: str, redis: Redis) -> AsyncIterator[Place]:
    """A site where carol is of support, and mona has connections."""
    async with site_at(redis_url, redis, support_users=("carol",)) as place:
        await settle(place.bot, redis)
        yield place


@pytest.fixture
async def carol(office: Place) -> Browser:
    return await office.signed_in("carol")
