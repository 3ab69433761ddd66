"""Mixed calls for people with two accounts of each service, while everything about them changes.

``python -m tests.kit.account_traffic REDIS_URL PROVIDER_URL SEED CALLS`` is one process of it.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx
from redis.asyncio import Redis

from tests.kit.account_provider import AccountProvider
from tests.kit.library import BASE_URL, BUILT_IN, KEY, callback_query, providers_config
from webui.oauth_manager import OAuthAmbiguous, OAuthManager, redis_from_url

PEOPLE = ("ann", "ben")
NAMES = {"mona": ("mona", "home"), "hubert": ("work", "office")}  # what each is called, in turn

Allow = Callable[[str], Awaitable[str]]
"""The person allows access at this address: the address they are sent back to."""


@dataclass
class Traffic:
    """One process's part.  ``counts`` has ``wrong`` and ``guessed``, which must stay at 0."""

    manager: OAuthManager
    redis: Redis
    allow: Allow
    chance: random.Random
    counts: Counter[str] = field(default_factory=Counter)

    async def begin(self) -> None:
        """Connect both accounts of everybody everywhere."""
        for person in PEOPLE:
            for provider in BUILT_IN:
                await self.connect(person, provider, "mona")
                await self.connect(person, provider, "hubert")

    async def connect(self, person: str, provider: str, account: str) -> None:
        name = NAMES[account][0]
        place = self.redis, person, provider
        url = await self.manager.begin(
            *place, browser="b", scopes=["one"], account=name, is_adding=True
        )
        query = callback_query(await self.allow(f"{url}&login_hint={account}"))
        attempt = await self.manager.links.take_attempt(self.redis, query["state"], "b")
        assert attempt
        if await self.manager.complete(self.redis, attempt, query["code"]):
            self.counts["connected"] += 1

    async def call(self) -> None:
        """Make one call of whichever kind."""
        person, provider = self.chance.choice(PEOPLE), self.chance.choice(BUILT_IN)
        account = self.chance.choice(list(NAMES))
        name = self.chance.choice(NAMES[account])
        place = self.redis, person, provider
        kind = self.chance.choices(
            ["token", "none", "renew", "connect", "end", "rename"], [70, 15, 5, 4, 2, 4]
        )[0]
        if kind == "none":
            await self.ask_without_a_name(person, provider)
        elif kind == "connect":
            await self.connect(person, provider, account)
        elif kind == "rename":
            await self.rename(person, provider, account)
        elif kind == "end":
            # Of each person one account stays, so that a call without a name stays unclear.
            ends = "hubert" if person == "ann" else "mona"
            for one in NAMES[ends]:
                await self.manager.delete_token(*place, account=one)
            await self.connect(person, provider, ends)
        else:
            token = await self.manager.get_token(person, provider, self.redis, account=name)
            if token and kind == "renew":
                token = await self.manager.renew(*place, refused=token, account=name)
            self.note(token, account)

    async def rename(self, person: str, provider: str, account: str) -> None:
        before, after = self.chance.sample(NAMES[account], 2)
        is_renamed = await self.manager.rename_account(self.redis, person, provider, before, after)
        self.counts["renamed"] += is_renamed

    async def ask_without_a_name(self, person: str, provider: str) -> None:
        try:
            await self.manager.get_token(person, provider, self.redis)
        except OAuthAmbiguous:
            self.counts["unclear"] += 1
        else:
            self.counts["guessed"] += 1

    def note(self, token: str | None, account: str) -> None:
        if token is None:
            self.counts["absent"] += 1
        else:
            self.counts["right" if AccountProvider.whose(token) == account else "wrong"] += 1


async def main(redis_url: str, provider_url: str, seed: str, calls: str) -> Counter[str]:
    manager = OAuthManager(KEY, BASE_URL, providers_config(AccountProvider(), provider_url))
    redis = redis_from_url(redis_url)
    async with httpx.AsyncClient() as browser:

        async def allow(url: str) -> str:
            return (await browser.get(url)).headers["location"]

        traffic = Traffic(manager, redis, allow, random.Random(seed))  # noqa: S311
        if seed == "begin":
            await traffic.begin()
        todo = iter(range(int(calls)))

        async def work() -> None:
            for _ in todo:
                await traffic.call()

        await asyncio.gather(*(work() for _ in range(4)))
    await manager.aclose()
    await redis.aclose()
    return traffic.counts


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(*sys.argv[1:]))))
