"""A person with one account of each service, and all that is in Redis of them afterwards.

``before_accounts.json`` was written by this module with the last version that knew one account
of a service alone: ``json.dumps(await dumped_life(redis, patch), indent=1, sort_keys=True)`` there.
Texts made by chance are ``*`` in it, and moments are seconds after the beginning.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.clock import FakeClock
from tests.kit.fake_answers import error_answer
from tests.kit.library import (
    ACCOUNTS,
    BASE_URL,
    age,
    began,
    connected,
    fake_provider,
    impatient,
    providers_config,
)
from webui.oauth_manager import AuditRecord, OAuthManager, SwitchOffer
from webui.oauth_manager.protocol.transport import Transport
from webui.oauth_manager.storage.calls import as_text

GOLDEN = Path(__file__).parent / "before_accounts.json"
_MOMENT = re.compile(r"(?<![\w.])\d{10}(?:\d{3})?(?:-\d+|\.\d+)?(?!\w)")
_YEARS = 1e8  # seconds
_STATE = re.compile(r"(?<=oauth_state:)[\w-]{43}$")
# Written since, for other reasons: whose a token is, and values that a person is asked for.
_SINCE = re.compile(r',(\\*)"(?:server\1":\1"[^"]*"|issuer\1":\1"[^"]*"|asked\1":\[\])')


class Still(FakeClock):
    """A clock that stands until it is turned."""

    def __init__(self) -> None:
        super().__init__()
        self.began = float(int(time.time()))

    def now(self) -> float:
        return self.began + self._ahead


async def dumped_life(redis: Redis, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Let ann do all that can be done with one account of a service; tokens are not sealed."""
    issued, clock = _issued(patch), Still()
    await _live(redis, clock)
    found: dict[str, Any] = {}
    async for key, value in _dumped(redis, issued, clock.began):
        found[key] = sorted([*found.get(key, ()), value])
    return found


async def _live(redis: Redis, clock: Still) -> None:
    fake = fake_provider()
    transport = Transport(httpx.ASGITransport(fake))
    config = providers_config(fake)
    manager = impatient(OAuthManager("", BASE_URL, config, transport=transport, clock=clock))
    for provider, answer in ACCOUNTS.items():
        fake.account = answer
        await connected(manager, fake, redis, "ann", provider)
    clock.advance(60)
    # Google: refreshed, renewed by hand, and another account that waits for an answer.
    await age(manager, redis, "ann", "google")
    token = await manager.get_token("ann", "google", redis)
    await manager.renew(redis, "ann", "google", refused=token or "")
    fake.account = {"sub": "43", "email": "lisa@example.org", "email_verified": True}
    offer = await manager.complete(redis, *await began(manager, fake, redis, "ann", "google"))
    assert isinstance(offer, SwitchOffer)
    # Microsoft: its access is over.
    await age(manager, redis, "ann", "microsoft")
    fake.script("token", error_answer("invalid_grant"))
    assert await manager.get_token("ann", "microsoft", redis) is None
    # Discord: a disconnect that nobody confirmed.
    fake.script("revoke", error_answer("temporarily_unavailable", 503))
    await manager.delete_token(redis, "ann", "discord")
    # GitHub: looked at by support; links and a way there under way.
    await manager.audit.write(
        redis, AuditRecord("carol", "chat", "viewed", "ann", reason="ticket 7")
    )
    await manager.create_link_code(redis, "ann", provider="github")
    await manager.generate_connect_url("ann", "google", redis)
    await manager.begin(redis, "ann", "github", browser="a browser")


def _issued(patch: pytest.MonkeyPatch) -> set[str]:
    """Note every text that is made by chance from now on."""
    texts: set[str] = set()

    def noting(make: Any) -> Any:
        def noted(size: int) -> str:
            text: str = make(size)
            texts.add(text)
            return text

        return noted

    for name in ("token_hex", "token_urlsafe"):
        patch.setattr(secrets, name, noting(getattr(secrets, name)))
    return texts


async def _dumped(redis: Any, issued: set[str], began: float) -> Any:
    """Yield each key, and its kind, life and value."""
    # The longest first: a short text may be the beginning of a long one.
    by_chance = re.compile("|".join(sorted(issued, key=len, reverse=True)))
    read = {
        "string": lambda key: redis.get(key),
        "hash": lambda key: redis.hgetall(key),
        "list": lambda key: redis.lrange(key, 0, -1),
        "zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
        "stream": lambda key: redis.xrange(key),
    }

    def plain(text: str) -> str:
        return _SINCE.sub("", _MOMENT.sub(moment, by_chance.sub("*", _STATE.sub("*", text))))

    def moment(found: re.Match[str]) -> str:
        digits = re.split("[-.]", found[0])[0]
        seconds = float(digits) / 1000 if len(digits) == 13 else float(digits)
        after = round((seconds - began) / 30) * 30
        return f"<{after}>" if abs(after) < _YEARS else found[0]

    for key in await redis.keys("*"):
        kind, life = as_text(await redis.type(key)), await redis.pttl(key)
        lasts = round(life / 10_000) * 10 if life > 0 else life
        yield plain(as_text(key)), [kind, lasts, plain(str(_as_texts(await read[kind](key))))]


def _as_texts(value: Any) -> Any:
    """Return a value of Redis without bytes in it."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, dict):
        return {_as_texts(k): _as_texts(v) for k, v in value.items()}
    return [_as_texts(one) for one in value] if isinstance(value, (list, tuple)) else value


def as_before() -> dict[str, Any]:
    """Return what the version before accounts left of the same life."""
    found: dict[str, Any] = json.loads(GOLDEN.read_text())
    return found


def records_before() -> dict[str, str]:
    """Return the records of connections in it, as if they had been written just now."""
    now, found = time.time(), as_before()
    return {
        key: re.sub("<(\\d+)>", lambda after: str(now + int(after[1])), values[0][2])
        for key, values in found.items()
        if key.startswith(("stargazer:oauth_tokens:", "stargazer:oauth_connection:"))
    }
