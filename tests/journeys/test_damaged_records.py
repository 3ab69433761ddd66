"""Every record that is read is checked: a bad one is no record, and never a failure.

Each reader is given junk, five megabytes, every other type of Redis, and its own record with
every field of another type, sealed with the right key.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.damage import HUGE, JUNK, OTHER_TYPES, mistype, put, values_of, variants
from tests.kit.every import every
from tests.kit.fake_answers import error_answer
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import connected, fake_provider, granted, keys_at, manager_for
from tests.kit.openid_server import OpenIDServer
from tests.kit.site_fixtures import Browser, Place, query_of, shown_code, shown_reference
from tests.site.test_sign_on_site import begin as begin_sign_on
from tests.site.test_sign_on_site import signing_on
from webui.chat import connect_service, notice_text
from webui.incident_codes import Reference, find_reference, keep_reference
from webui.oauth_manager import AuditRecord, FlowRefused, LinkRequest, OAuthManager, access
from webui.oauth_manager.journal import notices
from webui.oauth_manager.storage import Clock, TooOld
from webui.oauth_manager.storage.lock import Lock
from webui.rate_limits import Limiter
from webui.sign_on.attempts import begin_attempt, take_attempt

pytestmark = pytest.mark.anyio

Use = Callable[[], Awaitable[Any]]


@dataclass
class Kind:
    """One kind of record: its key, and everything that reads it."""

    key: str
    uses: list[Use]


class Library:
    """A manager, somebody who has everything, and a client to read it all with."""

    def __init__(self, manager: OAuthManager, fake: FakeProvider, redis: Redis, reader: Redis):
        self.manager = manager
        self.fake = fake
        self.redis = redis
        self.reader = reader

    async def only_key(self, pattern: str) -> str:
        (key,) = await keys_at(self.redis, pattern)
        return key

    async def tokens(self) -> Kind:
        await connected(self.manager, self.fake, self.redis, "ann", "github")
        return Kind(await self.only_key("oauth_tokens:*"), self._of_a_connection())

    async def facts(self) -> Kind:
        await connected(self.manager, self.fake, self.redis, "ann", "github")
        return Kind(await self.only_key("oauth_connection:*"), self._of_a_connection())

    def _of_a_connection(self) -> list[Use]:
        bot, redis = self.manager, self.reader
        return [
            lambda: bot.connections(redis, "ann"),
            lambda: bot.get_token("ann", "github", redis),
            lambda: bot.has_token("ann", "github", redis),
            lambda: bot.accept_missing(redis, "ann", "github"),
            lambda: bot.check(redis, "ann", "github"),
            lambda: bot.find_accounts(redis, "github", "mona"),
            lambda: bot.reseal(redis, writes=False),
            lambda: bot.delete_token(redis, "ann", "github"),
        ]

    async def link(self) -> Kind:
        code = await self.manager.create_link_code(self.redis, "ann", provider="github")
        links = self.manager.links
        return Kind(
            f"stargazer:oauth_link:{code}",
            [
                lambda: links.peek(self.reader, code),
                lambda: links.find(self.reader, "ann", "github"),
                lambda: links.take(self.reader, code),
            ],
        )

    async def links(self) -> Kind:
        code = await self.manager.create_link_code(self.redis, "ann", provider="github")
        bot = self.manager
        return Kind(
            "stargazer:oauth_links:ann",
            [
                lambda: bot.links.peek(self.reader, code),
                lambda: bot.links.find(self.reader, "ann", "github"),
                lambda: bot.open_links(self.reader, "ann"),
                lambda: bot.create_link_code(self.reader, "ann", provider="google"),
                lambda: bot.links.take(self.reader, code),
                lambda: bot.cancel_links(self.reader, "ann"),
            ],
        )

    async def state(self) -> Kind:
        url = await self.manager.generate_connect_url("ann", "github", self.redis)
        state = url.partition("state=")[2].partition("&")[0]
        links = self.manager.links
        return Kind(
            f"stargazer:oauth_state:{state}", [lambda: links.take_attempt(self.reader, state)]
        )

    async def pending(self) -> Kind:
        secret = await self.manager.proofs.start(self.redis, LinkRequest("ann", "github"))
        return Kind(await self.only_key("oauth_pending:*"), self._of_a_proof(secret))

    async def proofs(self) -> Kind:
        secret = await self.manager.proofs.start(self.redis, LinkRequest("ann", "github"))
        return Kind("stargazer:oauth_proofs:ann", self._of_a_proof(secret))

    def _of_a_proof(self, secret: str) -> list[Use]:
        bot, redis = self.manager, self.reader
        return [
            lambda: bot.proofs.peek(redis, secret),
            lambda: bot.proofs.is_waiting(redis, "ann"),
            lambda: bot.open_links(redis, "ann"),
            lambda: bot.proofs.confirm(redis, "ann", "BCDFGH"),
            lambda: bot.proofs.start(redis, LinkRequest("ann", "google")),
            lambda: bot.proofs.take(redis, secret),
            lambda: bot.cancel_links(redis, "ann"),
        ]

    async def timeline(self) -> Kind:
        await self.manager.create_link_code(self.redis, "ann", provider="github")
        bot = self.manager
        return Kind(
            "stargazer:oauth_events:ann",
            [
                lambda: bot.activity(self.reader, "ann"),
                lambda: bot.activity(self.reader, "ann", provider="github"),
                lambda: bot.create_link_code(self.reader, "ann", provider="github"),
            ],
        )

    async def looks(self) -> Kind:
        record = AuditRecord("carol", "chat", "viewed", "ann", reason="ticket 1")
        await self.manager.audit.write(self.redis, record)
        return Kind(
            "stargazer:oauth_audit:ann", [lambda: self.manager.activity(self.reader, "ann")]
        )

    async def notices(self) -> Kind:
        await connected(self.manager, self.fake, self.redis, "ann", "github")

        async def hear() -> None:
            storage = self.manager._storage
            for _, sealed in await notices._entries(self.reader, "bot-1", "0"):
                notices._open(storage, sealed)
            for _, sealed in await notices._entries(self.reader, "bot-1", ">"):
                if notice := notices._open(storage, sealed):
                    await notice_text(self.manager, self.reader, notice)

        return Kind("stargazer:oauth_notices", [hear])

    async def offer(self) -> Kind:
        self.fake.account = {"sub": "1", "email": "one@x.example"}
        await connected(self.manager, self.fake, self.redis, "ann", "google")
        self.fake.account = {"sub": "2", "email": "two@x.example"}
        url = await self.manager.begin(self.redis, "ann", "google", browser="b" * 43)
        query = dict(p.split("=") for p in self.fake.authorize(url).partition("?")[2].split("&"))
        attempt = await self.manager.links.take_attempt(self.redis, query["state"], "b" * 43)
        assert attempt is not None
        await self.manager.complete(self.redis, attempt, query["code"])
        bot = self.manager
        return Kind(
            await self.only_key("oauth_switch:*"),
            [
                lambda: bot.switch_offer(self.reader, "ann", "google"),
                lambda: bot.connections(self.reader, "ann"),
                lambda: bot.delete_token(self.reader, "ann", "google"),
            ],
        )

    async def leftover(self) -> Kind:
        self.fake.script("revoke", error_answer("server_error", 500))
        await self.manager.store_token(self.redis, "ann", granted(self.fake, "google"))
        await self.manager.delete_token(self.redis, "ann", "google")
        bot = self.manager
        return Kind(
            await self.only_key("oauth_revoke:*"),
            [
                lambda: bot.connections(self.reader, "ann"),
                lambda: bot.ask_again(self.reader, "ann", "google"),
                lambda: bot.drop_leftovers(self.reader, "ann", "google"),
            ],
        )

    async def account(self) -> Kind:
        await connected(self.manager, self.fake, self.redis, "ann", "github")
        (key, *_) = await keys_at(self.redis, "oauth_account:*")
        bot = self.manager
        return Kind(key, [lambda: bot.find_accounts(self.reader, "github", "mona")])

    async def lock(self) -> Kind:
        storage = self.manager._storage
        lock = Lock(storage, self.manager._subject(self.redis, "ann", "google"))
        await lock.acquire()
        await lock.release(failures=2)

        async def acquire() -> None:
            other = Lock(storage, self.manager._subject(self.reader, "ann", "google"))
            await other.acquire()
            await other.release(failures=1)

        return Kind("stargazer:oauth_lock:ann:google", [acquire])

    async def limit(self) -> Kind:
        limiter = Limiter(self.redis, Clock())
        await limiter.hit("check", "ann")
        reading = Limiter(self.reader, Clock())
        return Kind(
            await self.only_key("web_limit:*"),
            [lambda: reading.check("check", "ann"), lambda: reading.hit("check", "ann")],
        )

    async def reference(self) -> Kind:
        kept = Reference("", 1e9, "404", 404, "/x", "GET")
        code = await keep_reference(self.redis, kept)
        return Kind(f"stargazer:web_reference:{code}", [lambda: find_reference(self.reader, code)])

    async def sign_on(self) -> Kind:
        attempt = await begin_attempt(self.redis, "b" * 43, "/support")

        async def take() -> None:
            with suppress(FlowRefused):
                await take_attempt(self.reader, attempt.state, attempt.browser)

        return Kind(await self.only_key("web_signon:*"), [take])


KINDS: list[Callable[[Library], Awaitable[Kind]]] = [
    Library.tokens,
    Library.facts,
    Library.link,
    Library.links,
    Library.state,
    Library.pending,
    Library.proofs,
    Library.timeline,
    Library.looks,
    Library.notices,
    Library.offer,
    Library.leftover,
    Library.account,
    Library.lock,
    Library.limit,
    Library.reference,
    Library.sign_on,
]
EVERY_KIND = {make.__name__: make for make in KINDS}


@pytest.fixture
async def library(redis: Redis, either: Redis) -> Library:
    return await empty_library(redis, either)


async def empty_library(redis: Redis, reader: Redis) -> Library:
    await redis.flushall()
    fake = fake_provider()
    return Library(manager_for(fake), fake, redis, reader)


@pytest.mark.long
@every("make", EVERY_KIND)
async def test_a_record_with_a_bad_value_is_none_to_every_reader(
    redis: Redis, either: Redis, make: Callable[[Library], Awaitable[Kind]]
) -> None:
    library = await empty_library(redis, either)
    kind = await make(library)
    before = await library.redis.dump(kind.key)
    for field, value in (await values_of(library.redis, kind.key)).items():
        # What is inside is read without the client: with one that decodes, only junk differs.
        for damaged in variants(value) if library.reader is library.redis else [*JUNK, HUGE]:
            for use in kind.uses:
                await library.redis.restore(kind.key, 0, before or b"", replace=True)
                await put(library.redis, kind.key, field, damaged)
                with suppress(TooOld):  # one of the values is the mark of a newer version
                    await use()


@every("make", EVERY_KIND)
@every("other", list(OTHER_TYPES))
async def test_a_key_of_another_type_is_none_to_every_reader(
    redis: Redis, either: Redis, make: Callable[[Library], Awaitable[Kind]], other: str
) -> None:
    library = await empty_library(redis, either)
    kind = await make(library)
    for use in kind.uses:
        await mistype(library.redis, kind.key, other)
        await use()


async def test_what_stands_in_the_way_of_a_list_that_runs_out_is_replaced(
    library: Library,
) -> None:
    manager, redis = library.manager, library.reader
    for key in ("oauth_links:ann", "oauth_proofs:ann", "oauth_events:ann", "oauth_due"):
        await library.redis.set(f"stargazer:{key}", "in the way")
    code = await manager.create_link_code(redis, "ann", provider="github")
    assert await manager.links.take(redis, code) == LinkRequest("ann", "github")
    secret = await manager.proofs.start(redis, LinkRequest("ann", "github"))
    proof = await manager.proofs.peek(redis, secret)
    assert proof is not None
    assert await manager.proofs.confirm(redis, "ann", proof.code) is None
    assert [event.kind for event in (await manager.activity(redis, "ann")).events] == ["link_made"]


class OnTheSite:
    """A site with somebody on every page, and what their browsers ask for."""

    def __init__(self, place: Place, acme: OpenIDServer) -> None:
        self.place = place
        self.acme = acme
        self.pages: dict[str, list[tuple[Browser, str]]] = {}

    async def set_up(self) -> None:
        """Everything that has a page, in the place of its keys."""
        place, redis = self.place, self.place.redis
        ann, carol = await place.signed_in("ann"), await place.signed_in("carol")
        place.fake.account = {"id": "42", "login": "mona", "name": "Mona"}
        await place.connect(ann, "github")
        code = await place.bot.create_link_code(redis, "ben", provider="github")
        url = await place.bot.generate_connect_url("erin", "google", redis)
        fields = {"error": "server_error", "state": query_of(url)["state"]}
        failed = await (await place.browser()).come_back(
            f"/oauth/google/callback?{urlencode(fields)}"
        )
        reference = shown_reference(failed)
        waiting, stranger = await place.browser(), await place.browser()
        proof = await place.bot.create_link_code(redis, "dora", provider="github")
        await waiting.post(f"/connect/{proof}/start")
        shown_code(await waiting.get("/connect/proof"))
        why = "reason=ticket+1"
        own = [(ann, "/connections"), (ann, "/connections/github"), (ann, "/oauth/status")]
        person = [
            (carol, f"/support/people/ann?{why}"),
            (carol, f"/support/people/ann/preview?{why}"),
        ]
        timeline = [(ann, "/activity"), (ann, "/connections/github"), person[0]]
        link = [(stranger, f"/connect/{code}"), (carol, f"/support/people/ben?{why}")]
        self.pages = {
            "oauth_tokens:ann:*": [*own, *person],
            "oauth_connection:ann:*": [*own, *person],
            "oauth_events:ann": timeline,
            "oauth_audit:ann": timeline,
            "oauth_link:*": link,
            "oauth_links:ben": link,
            "oauth_pending:*": [(waiting, "/connect/proof")],
            "oauth_proofs:dora": [(waiting, "/connect/proof")],
            f"web_reference:{reference}": [(carol, f"/support?q={reference}&{why}")],
            "web_session:*": [(ann, "/connections"), (carol, f"/support/people/ann?{why}")],
        }


@pytest.fixture
async def site(redis_url: str, redis: Redis) -> AsyncIterator[OnTheSite]:
    acme = OpenIDServer()
    async with signing_on(redis_url, redis, acme, support_users=frozenset({"carol"})) as place:
        made = OnTheSite(place, acme)
        await made.set_up()
        yield made


async def test_no_page_fails_for_a_damaged_record(site: OnTheSite, redis: Redis) -> None:
    failed: dict[tuple[str, str, int], bytes] = {}
    for pattern, pages in site.pages.items():
        for key in await keys_at(redis, pattern):
            before = await redis.dump(key)
            jars = [httpx.Cookies(browser.client.cookies) for browser, _ in pages]
            for field, value in (await values_of(redis, key)).items():
                some = random.Random(key)  # noqa: S311 - the same ones in every run
                for damaged in some.sample(list(variants(value)), k=12):
                    await redis.restore(key, 0, before or b"", replace=True)
                    await put(redis, key, field, damaged)
                    for (browser, page), jar in zip(pages, jars, strict=True):
                        browser.client.cookies = httpx.Cookies(jar)
                        status = (await browser.get(page)).status_code
                        if status >= 500:
                            failed[key, page, status] = damaged[:200]
            await redis.restore(key, 0, before or b"", replace=True)
    assert failed == {}


async def test_a_damaged_list_of_sessions_keeps_nobody_out_and_ends_nothing_else(
    site: OnTheSite, redis: Redis
) -> None:
    place = site.place
    (tokens,) = await keys_at(redis, "oauth_tokens:ann:*")
    await redis.zadd("stargazer:web_sessions:ann", {tokens: 1, "junk": 2, "\0": 3})
    assert await place.site.sessions.end_all("ann") == 1
    assert await redis.exists(tokens)
    assert not await redis.exists("junk")
    await redis.delete("stargazer:web_sessions:ann")
    await redis.set("stargazer:web_sessions:ann", "in the way")
    ann = await place.signed_in("ann")
    assert (await ann.get("/connections")).status_code == 200
    await redis.delete("stargazer:web_sessions:ann")
    await redis.lpush("stargazer:web_sessions:ann", "in the way")
    assert (await ann.post("/signout")).status_code == 303


async def test_a_damaged_sign_on_is_one_that_was_never_begun(site: OnTheSite, redis: Redis) -> None:
    browser = await site.place.browser()
    url = site.acme.authorize(await begin_sign_on(browser))
    (key,) = await keys_at(redis, "web_signon:*")
    await redis.set(key, "[" * 1000)
    assert (await browser.after_sign_on(url)).status_code == 400


async def test_the_tool_in_chat_says_something_of_use_over_damaged_lists(
    library: Library,
) -> None:
    access._instance = library.manager
    ctx = SimpleNamespace(user_id="ann", redis=library.reader)
    for key in ("oauth_links:ann", "oauth_proofs:ann", "oauth_events:ann", "oauth_due"):
        await library.redis.set(f"stargazer:{key}", "in the way")
    assert "/connect/" in await connect_service(ctx, "connect", "github")
    assert await connect_service(ctx, "confirm", code="BCD FGH")
