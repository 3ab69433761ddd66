"""A person of whom everything is stored that can be, for tests of exports and erasures."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from redis.asyncio import Redis

from tests.kit.api_caller import caller
from tests.kit.fake_answers import error_answer
from tests.kit.library import began
from tests.kit.site_fixtures import Place, shown_code
from webui.oauth_manager import AuditRecord, OAuthManager, SwitchOffer, TokenData
from webui.oauth_manager.storage import keys
from webui.oauth_manager.storage.calls import as_text
from webui.webhooks.destination import Destination
from webui.webhooks.queue import Queue, Waiting

STRANGE = "@zoë:example.org"  # its keys are encoded, and those of an older system were not
BESIDE = "zoë"  # another person, who keeps everything
# A name behind the prefix, of keys that hold nothing of a person.
OF_NOBODY = {"canary", "ready", "web_signon", "oauth_erased", "oauth_erasing"}


def kind_of(key: str) -> str:
    """The name that all keys of a kind have in common."""
    return re.split("[:{]", key.removeprefix(keys.PREFIX))[0]


def forms_of(user: str) -> list[bytes]:
    """Every way in which a key or a value may spell the id."""
    forms = {user, keys.encoded(user), quote(user, safe=""), ascii(user)[1:-1]}
    return [form.encode() for form in forms]


async def everything(redis: Any) -> dict[str, str]:
    """Every key with its value as text."""
    read: dict[str, Any] = {
        "string": lambda key: redis.get(key),
        "hash": lambda key: redis.hgetall(key),
        "list": lambda key: redis.lrange(key, 0, -1),
        "zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
        "stream": lambda key: redis.xrange(key),
    }
    found = {}
    for key in await redis.keys("*"):
        kind = as_text(await redis.type(key))
        found[as_text(key)] = str(await read[kind](key))
    return found


async def mentions(redis: Any, user: str) -> list[str]:
    """The keys of which the name or the value spells the id."""
    forms = [re.compile(rb"(?<![\w%])" + re.escape(f) + rb"(?!\w)") for f in forms_of(user)]
    forms += [re.compile(re.escape(repr(f)[2:-1].encode())) for f in forms_of(user) if len(f) > 6]
    return sorted(
        key
        for key, value in (await everything(redis)).items()
        if any(form.search(f"{key}\n{value}".encode()) for form in forms)
    )


async def fill(place: Place, user: str) -> None:
    """Leave a trace of the person everywhere that there is one."""
    redis, bot, fake = place.redis, place.bot, place.fake
    browser = await place.signed_in(user)
    for provider in ("discord", "github", "google", "microsoft"):
        await place.connect(browser, provider)
    await place.settled()
    # Discord: a disconnect that nobody confirmed.  Google: another account that waits.
    fake.script("revoke", error_answer("temporarily_unavailable", 503))
    await bot.delete_token(redis, user, "discord")
    usual, fake.account = (
        fake.account,
        {"id": "43", "sub": "43", "login": "lisa", "email": "lisa@example.org"},
    )
    offer = await bot.complete(redis, *await began(bot, fake, redis, user, "google"))
    assert isinstance(offer, SwitchOffer)
    fake.account = usual
    # GitHub: renewed by hand, with a lock that remembers a failure.
    token = await bot.get_token(user, "github", redis)
    await bot.renew(redis, user, "github", refused=token or "")
    await redis.set(keys.lock(user, "github"), "failed:1:1", px=180_000)
    await redis.set(keys.renewals(user, "github"), "1 ", px=600_000)
    await _links(place, user)
    await browser.get("/oauth/github/callback?code=x&state=y")
    fake.script("token", error_answer("invalid_client", 401))
    await place.connect(browser, "github")
    await browser.begin("github")
    await _acts_of_support(bot, redis, user)
    await bot.proofs.confirm(redis, user, "WRONG1")
    for name in ("guess", "check", "link"):
        await place.site.limiter.allows(name, user)
    await place.site.limiter.allows("denied", f"chat {user}")
    # Microsoft: an account with a name.
    assert await bot.rename_account(redis, user, "microsoft", "~", "Home")
    await _gone_service(bot, redis, user)
    await _other_bots(place, user)


async def _other_bots(place: Place, user: str) -> None:
    """A bot that had a token over the API, and one that is told by webhooks, or was to be."""
    assert (await (await caller(place)).token(user, "microsoft")).status_code == 200
    there = Destination("https://hooks.example/", ("public",), ())
    queue, page = Queue(place.redis, there), await place.bot.sealed_notices(place.redis)
    of_user = [Waiting(position, sealed, 1.0) for position, sealed in page.entries]
    await queue.add(of_user, page.next)
    await queue.load()
    await queue.give_up(of_user[-1])


async def _links(place: Place, user: str) -> None:
    """A link that is open, one whose page waits for the code, one that ends access soon."""
    await place.bot.create_link_code(place.redis, user, provider="github")
    await place.bot.generate_connect_url(user, "google", place.redis)
    code = await place.bot.create_link_code(place.redis, user, provider="microsoft")
    phone = await place.browser()
    await phone.post(f"/connect/{code}/start")
    assert shown_code(await phone.get("/connect/proof"))


async def _acts_of_support(bot: OAuthManager, redis: Redis, user: str) -> None:
    await bot.audit.write(redis, AuditRecord("carol", "chat", "viewed", user, reason="ticket 7"))
    await bot.audit.write(
        redis, AuditRecord("carol", "chat", "viewed", user, reason=f"{user} asked for it")
    )
    found = f'found ["ben", "{user}"]'
    await bot.audit.write(redis, AuditRecord("carol", "chat", "searched", result=found))


async def _gone_service(bot: OAuthManager, redis: Redis, user: str) -> None:
    """Tokens of a service that is set up no more."""
    sealed = bot._sealer.seal("tokens", user, "gitea", TokenData("no-token").to_record())
    await redis.set(keys.tokens(user, "gitea"), sealed)
