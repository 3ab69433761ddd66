"""Whole journeys with every secret known: none is found where it must not be.

The site is a process of its own at LOG_LEVEL=debug; everything it writes, sends
and stores is searched for every secret there was, in clear and encoded.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.fake_answers import Answer, error_answer, json_answer
from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.library import BUILT_IN, KEY, fake_provider, providers_config
from tests.kit.logos import DRAWING
from tests.kit.site_fixtures import (
    HTMX,
    SESSION_SECRET,
    Browser,
    SiteProcess,
    but_reference,
    free_port,
    handed_off,
    query_of,
    serving,
    shown_code,
    site_environment,
)
from webui.api.service_keys import RIGHTS, ServiceKeys
from webui.oauth_manager import OAuthManager
from webui.oauth_manager.errors import OAuthNotConnected
from webui.oauth_manager.storage import Clock, Sealer
from webui.oauth_manager.token_data import TokenData
from webui.sandbox.embedded_redis import embedded_redis

pytestmark = pytest.mark.anyio

CLIENT_SECRET = "canary/client+secret=of~the.operator"
REDIS_PASSWORD = "canary-redis-password-0123456789"


@dataclass
class Secrets:
    """By kind, what must be found nowhere but where it has to travel."""

    known: dict[str, set[str]] = field(default_factory=dict)

    def add(self, kind: str, *values: str) -> None:
        self.known.setdefault(kind, set()).update(values)

    def found_in(self, text: bytes, *, but: Iterable[str] = ()) -> set[str]:
        """The kinds of secret that the text has, in any form."""
        return {
            kind
            for kind, values in self.known.items()
            if kind not in but and any(form in text for v in values for form in forms(v))
        }


def forms(secret: str) -> set[bytes]:
    """In clear and as it would look encoded for a URL, JSON, or in base64 at any offset."""
    raw = secret.encode()
    found = {raw, quote(secret, safe="").encode(), quote_plus(secret).encode()}
    found.add(json.dumps(secret)[1:-1].encode())
    found.add(raw.hex().encode())
    if len(raw) >= 12:  # shorter ones would be found by chance
        for pad in range(3):
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                # Without the characters that also depend on what stands around it.
                found.add(encode(b"x" * pad + raw)[(0, 2, 3)[pad] :][: len(raw) * 4 // 3 - 4])
    return found


@dataclass
class Journey:
    """The process, its provider, its bot; and every exchange with it so far."""

    site: SiteProcess
    fake: FakeProvider
    redis: Redis
    bot: OAuthManager = field(repr=False)
    secrets: Secrets = field(default_factory=Secrets)
    answers: list[httpx.Response] = field(default_factory=list)
    api_answers: list[httpx.Response] = field(default_factory=list)
    browsers: list[Browser] = field(default_factory=list)

    async def browser(self) -> Browser:
        async def keep(answer: httpx.Response) -> None:
            await answer.aread()
            self.answers.append(answer)
            self.secrets.add("cookie", *answer.cookies.values())

        hooks = {"response": [keep]}
        client = httpx.AsyncClient(base_url=self.site.base_url, event_hooks=hooks)
        self.browsers.append(Browser(client))
        return self.browsers[-1]

    async def signed_in(self, user: str, provider: str = "") -> tuple[Browser, httpx.Response]:
        browser = await self.browser()
        link = await self.bot.create_link_code(self.redis, user, provider=provider)
        self.secrets.add("link", link)
        await browser.get(f"/connect/{link}")
        await browser.get(f"/connect/{link}", headers=HTMX)
        await browser.post(f"/connect/{link}/start")
        await browser.post("/connect/proof/continue")
        shown = shown_code(await browser.get("/connect/proof"))
        self.secrets.add("proof code", shown)
        assert await self.bot.proofs.confirm(self.redis, user, "BCDFGH") is not None
        assert await self.bot.proofs.confirm(self.redis, user, shown) is None
        return browser, await browser.post("/connect/proof/continue")

    async def callback(self, browser: Browser, url: str, **changes: str) -> httpx.Response:
        """The provider's answer, with its state and code noted."""
        asked = query_of(url)
        self.secrets.add("state", asked["state"])
        answer = self.fake.authorize(url)
        self.secrets.add("code", query_of(answer)["code"])
        for name, value in changes.items():
            answer += f"&{name}={value}"
        return await browser.get(answer)

    def note_what_the_provider_saw(self) -> None:
        for request in self.fake.requests:
            if verifier := request.form.get("code_verifier"):
                self.secrets.add("verifier", verifier)
        issued = self.fake.issued
        self.secrets.add("token", *(value for value in issued if not value.startswith("code-")))
        self.secrets.add("code", *(value for value in issued if value.startswith("code-")))


@pytest.fixture
async def guarded_redis_url() -> AsyncIterator[str]:
    """A server of its own with a password, which only an address with a port can carry."""
    with embedded_redis() as url:
        port = free_port()
        async with Redis.from_url(url) as redis:
            await redis.config_set("port", port)
            await redis.config_set("requirepass", REDIS_PASSWORD)
            yield f"redis://:{REDIS_PASSWORD}@127.0.0.1:{port}/0"


@pytest.fixture
async def journey(guarded_redis_url: str, tmp_path: Path) -> AsyncIterator[Journey]:
    fake = fake_provider(client_secret=CLIENT_SECRET)
    base_url = f"http://127.0.0.1:{free_port()}"
    with serve(fake) as provider:
        config = providers_config(fake, provider)
        logo = tmp_path / "canary-of-the-operators-folder" / "logo.svg"
        logo.parent.mkdir()
        logo.write_text(f"<!-- canary-of-the-designer -->{DRAWING}")
        environment = {
            **site_environment(base_url, guarded_redis_url, config),
            "PRODUCT_LOGO": str(logo),
            "LOG_LEVEL": "debug",
        }
        bot = OAuthManager(KEY, base_url, config)
        async with Redis.from_url(guarded_redis_url) as redis:
            with serving(environment, tmp_path) as site:
                made = Journey(site, fake, redis, bot)
                made.secrets.add("client secret", CLIENT_SECRET)
                made.secrets.add("encryption key", KEY)
                made.secrets.add("session secret", SESSION_SECRET)
                made.secrets.add("redis password", REDIS_PASSWORD)
                made.secrets.add("logo", logo.parent.name, "canary-of-the-designer")
                yield made
                for browser in made.browsers:
                    await browser.client.aclose()
        await bot.aclose()


async def good_days(journey: Journey) -> None:
    """Links, proofs, all four connected, refreshed by looking, disconnected."""
    browser = await journey.browser()
    assert (await browser.get("/favicon.ico")).text.startswith("<svg ")
    for provider in BUILT_IN:
        browser, leaving = await journey.signed_in("ann", provider)
        await journey.callback(browser, handed_off(leaving))
        for path in (f"/connect/done/{provider}", "/connections", "/oauth/status"):
            assert (await browser.get(path)).status_code == 200
        assert (await browser.get(f"/connections/{provider}", htmx=True)).status_code == 200
        token = await journey.bot.valid_token(journey.redis, "ann", provider)
        assert token
        token.expires_at = 1000.0
        await journey.bot.store_token(journey.redis, "ann", token)
        assert await journey.bot.get_token("ann", provider, journey.redis)
    await browser.get("/connections/github/disconnect", htmx=True)
    await browser.post("/connections/github/disconnect", htmx=True)
    await browser.post("/connections/microsoft/disconnect")
    await browser.get("/connections")
    await browser.post("/signout")


async def bad_days(journey: Journey) -> None:
    """Refusals, forgeries, and a provider that says everything wrong."""
    browser, _ = await journey.signed_in("ben")
    secrets, fake = journey.secrets, journey.fake
    spoilt = (
        Answer(500, {}, b"<html>canary"),
        error_answer("invalid_client", 401),
        error_answer("invalid_grant"),
        json_answer({"access_token": "canary-token\r\nwith-a-break"}),
        json_answer({"access_token": ["canary-token-in-a-list"]}),
        Answer(200, {"content-type": "application/json"}, b'{"access_token": "canary-token-cut'),
        Answer(307, {"location": "http://127.0.0.1:1/canary-token-elsewhere"}),
    )
    secrets.add("spoilt token", "canary-token", "canary-token-in-a-list")
    for answer in spoilt:
        fake.script("token", answer)
        await journey.callback(browser, await browser.begin("github"))
    description = "&error_description=canary-of-a-description"
    secrets.add("description", "canary-of-a-description")
    for error in ("access_denied", "server_error", "canary%0aerror"):
        state = query_of(await browser.begin("google"))["state"]
        secrets.add("state", state)
        await browser.get(f"/oauth/google/callback?state={state}&error={error}{description}")
    await journey.callback(browser, await browser.begin("google"), iss="https://evil.example")
    await journey.callback(await journey.browser(), await browser.begin("google"))
    await journey.callback(
        browser, await journey.bot.generate_connect_url("ann", "github", journey.redis)
    )
    for path in ("/connect/", "/oauth/github/callback?state=", "/nowhere?token=", "/"):
        secret = "canary-in-a-path-" + str(len(path)) + "a" * 24
        secrets.add("path", secret)
        await browser.get(path + secret)
    secrets.add("header", "canary-in-a-header")
    await browser.get(
        "/connections",
        headers={
            "authorization": "Bearer canary-in-a-header",
            "x-api-key": "canary-in-a-header",
            "referer": "https://x.example/?code=canary-in-a-header",
            "user-agent": "canary-in-a-header",
        },
    )
    secrets.add("body", "canary-in-a-body")
    await browser.post("/connections/github/connect", {"token": "canary-in-a-body"})
    await browser.client.post("/signout", content=b"canary-in-a-body")


async def days_of_the_api(journey: Journey) -> None:
    """Every call of the API by keys that may, may not, are over, or never were."""
    secrets, store = journey.secrets, ServiceKeys(Sealer(KEY), Clock())
    key, _ = await store.create(journey.redis, "a bot", may=RIGHTS)
    narrow, _ = await store.create(journey.redis, "another", may=(), providers=("github",))
    gone, known = await store.create(journey.redis, "a third", may=RIGHTS)
    never = f"stargazer_{'c' * 10}_{'d' * 43}"
    secrets.add("service key", *(one.rpartition("_")[2] for one in (key, narrow, gone, never)))
    browser, leaving = await journey.signed_in("cleo", "google")
    await journey.callback(browser, handed_off(leaving))
    here = {"user_id": "cleo", "provider": "google"}

    async def call(path: str, holder: str, **members: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {holder}"}
        async with httpx.AsyncClient(base_url=journey.site.base_url, headers=headers) as client:
            answer = await client.post(f"/api/v1/{path}", json=members)
        journey.api_answers.append(answer)
        return answer

    first = await call("token", key, **here)
    assert first.status_code == 200
    renewed = await call("token", key, **here, refused=first.json()["access_token"])
    assert renewed.json()["access_token"] != first.json()["access_token"]
    await call("token", gone, **here)
    assert await store.revoke(journey.redis, known.id)
    for holder in (narrow, gone, never, never[:-1]):
        assert (await call("token", holder, **here)).status_code in (401, 403)
    link = await call("links", key, user_id="dora", provider="github")
    secrets.add("link", link.json()["url"].rpartition("/")[2])
    await call("token", key, user_id="dora", provider="github")
    secrets.add("body", "canary-in-a-body")
    for path in ("token", "links", "proofs", "connections/check", "connections/disconnect"):
        await call(path, key, **here, canary="canary-in-a-body")
        await call(path, key, user_id="canary-in-a-body\n", provider="canary-in-a-body")
    await call("proofs", key, user_id="cleo", code="canary-in-a-body")
    journey.fake.script("token", error_answer("invalid_client", 401))
    await call("token", key, **here, refused=renewed.json()["access_token"])
    await call("connections/check", key, **here)
    await call("connections/disconnect", key, **here)
    for path in ("connections?user_id=cleo", "notices", "openapi.json"):
        headers = {"authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=journey.site.base_url, headers=headers) as client:
            journey.api_answers.append(await client.get(f"/api/v1/{path}"))


async def test_no_secret_of_the_api_is_told_stored_or_written_anywhere(journey: Journey) -> None:
    await days_of_the_api(journey)
    journey.note_what_the_provider_saw()
    secrets = journey.secrets
    assert {"token", "service key", "link", "proof code"} <= set(secrets.known)
    names, values = await dump(journey.redis)
    log = journey.site.log.read_bytes()
    assert log.count(b"/api/v1/token") > 8
    assert secrets.found_in(log) == set()
    assert secrets.found_in(values, but={"link"}) == set()
    assert secrets.found_in(names, but={"link", "state"}) == set()
    for answer in journey.api_answers:
        carried = {"token"} if "access_token" in answer.text else set()
        carried |= {"link"} if "url" in answer.text else set()
        where = f"{answer.request.url.path}: {answer.status_code}"
        assert answer.status_code < 500 or answer.status_code in (502, 503), where
        assert secrets.found_in(told(answer), but=carried) == set(), where


async def dump(redis: Redis) -> tuple[bytes, bytes]:
    """All names, and all values as they would stand in a dump."""
    names = sorted([key async for key in redis.scan_iter()])
    values = [await redis.dump(name) or b"" for name in names]
    assert all(values)
    return b"\n".join(names), b"\n".join([*values, *[await value_of(redis, n) for n in names]])


async def value_of(redis: Redis, name: bytes) -> bytes:
    """The value again, uncompressed."""
    match await redis.type(name):
        case b"string":
            return repr(await redis.get(name)).encode()
        case b"hash":
            return repr(await redis.hgetall(name)).encode()
        case b"stream":
            return repr(await redis.xrange(name)).encode()
        case b"list":
            return repr(await redis.lrange(name, 0, -1)).encode()
        case b"zset":
            return repr(await redis.zrange(name, 0, -1)).encode()
        case kind:
            raise AssertionError(f"a key of an unexpected type: {kind!r}")


def told(answer: httpx.Response) -> bytes:
    """Everything a browser or a proxy sees of an answer."""
    return str(answer.headers.multi_items()).encode() + answer.content


def allowed_in(answer: httpx.Response) -> set[str]:
    """Return the secrets that this answer has to carry."""
    path = answer.request.url.path
    carried = set()
    if "set-cookie" in answer.headers:
        carried.add("cookie")
    if path.startswith("/connect/") and path.count("/") == 2 and answer.status_code == 200:
        carried.add("link")  # the addresses of its own two buttons
    if "/connect/proof" in path and 'id="proof"' in answer.text:
        carried.add("proof code")
    if "hx-redirect" in answer.headers or 'http-equiv="refresh"' in answer.text:
        carried.add("state")
    return carried


async def test_no_secret_is_told_stored_or_written_anywhere(journey: Journey) -> None:
    await good_days(journey)
    await bad_days(journey)
    journey.note_what_the_provider_saw()
    secrets = journey.secrets
    assert journey.fake.calls["exchange"] > len(BUILT_IN)
    assert journey.fake.calls["refresh"] == len(BUILT_IN)
    assert {"token", "code", "state", "verifier", "link", "proof code"} <= set(secrets.known)
    names, values = await dump(journey.redis)
    log = journey.site.log.read_bytes()
    assert len(journey.answers) > 80
    assert log.count(b"\n") > 80
    assert secrets.found_in(log) == set()
    # The bot's own authorize URL has a link code inside its state, as specified.
    assert secrets.found_in(values, but={"link"}) == set()
    assert secrets.found_in(names, but={"link", "state"}) == set()
    for answer in journey.answers:
        where = f"{answer.request.method} {answer.request.url.path}: {answer.status_code}"
        assert secrets.found_in(told(answer), but=allowed_in(answer)) == set(), where


async def test_the_search_finds_what_is_there(journey: Journey) -> None:
    """Otherwise the test above shows nothing."""
    browser, leaving = await journey.signed_in("ann", "github")
    await journey.callback(browser, handed_off(leaving))
    journey.note_what_the_provider_saw()
    (token, *_) = journey.secrets.known["token"]
    spread = {
        b"x" + token.encode() + b"y",
        base64.b64encode(b"?" + token.encode() + b"!"),
        base64.b64encode(b"??" + token.encode() + b"!"),
        base64.b64encode(b"???" + token.encode() + b"!"),
    }
    for text in spread:
        assert journey.secrets.found_in(text) == {"token"}
    assert journey.secrets.found_in(b"token") == set()
    assert "client secret" in journey.secrets.found_in(quote_plus(CLIENT_SECRET).encode())


async def test_no_query_is_written_and_every_request_is_one_line(journey: Journey) -> None:
    browser = await journey.browser()
    before = len(journey.site.log.read_text().splitlines())
    for path in ("/?a=1", "/oauth/github/callback?state=x&code=y", "/connections?x=%0a", "/n?b"):
        await browser.get(path)
    await browser.get("/healthz")  # on the same connection: the lines before it are written
    lines = journey.site.log.read_text().splitlines()[before:]
    requests = [json.loads(line) for line in lines if '"request"' in line][:4]
    assert [line["status"] for line in requests] == [303, 303, 303, 404]
    assert not any("?" in line for line in lines)
    assert {line["route"] for line in requests} <= {
        "/",
        "/oauth/{provider}/callback",
        "/connections",
        "unmatched",
    }


async def test_a_failing_redis_is_written_without_its_password(journey: Journey) -> None:
    await journey.redis.config_set("requirepass", "another-canary")
    await journey.redis.client_kill_filter(_type="normal", skipme=True)  # they are let in already
    try:
        browser = await journey.browser()
        answer = await browser.get("/readyz")
        assert answer.status_code == 503
    finally:
        await journey.redis.config_set("requirepass", REDIS_PASSWORD)
    log = journey.site.log.read_bytes()
    assert b"another-canary" not in log + told(answer)
    assert journey.secrets.found_in(log + told(answer)) == set()


@pytest.mark.parametrize("accept", ["text/plain", "application/json", "*/*", "text/html;q=0"])
async def test_an_error_is_the_same_page_whatever_is_asked_for(
    journey: Journey, accept: str
) -> None:
    browser = await journey.browser()
    usual = await browser.get("/nowhere")
    for path in ("/nowhere?debug=1", "/nowhere?debug=true&trace=1"):
        answer = await browser.get(path, headers={"accept": accept, "x-debug": "1"})
        assert answer.status_code == usual.status_code
        assert but_reference(answer) == but_reference(usual)


class TestWhatHoldsASecret:
    """Looked at by a developer or a crash reporter"""

    SECRETS = ("canary-access", "canary-refresh")

    def test_token_does_not_print_it(self) -> None:
        token = TokenData(*self.SECRETS, provider="github")
        for text in (repr(token), str(token), f"{token}", f"{[token]}", f"{(token,)!r}"):
            assert "canary" not in text

    def test_manager_and_its_providers_do_not_print_it(self) -> None:
        config = {"github": {"client_id": "an-id", "client_secret": "canary-secret"}}
        manager = OAuthManager(KEY, "https://bot.example", config)
        for text in (repr(manager), repr(manager.providers), str(vars(manager))):
            assert "canary" not in text
            assert KEY not in text

    def test_error_with_a_link_does_not_print_it(self) -> None:
        error = OAuthNotConnected("github", "https://x.example/?state=canary")
        assert "canary" not in repr(error)
