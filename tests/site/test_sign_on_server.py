"""Sign-on with django-oauth-toolkit as the provider, which nobody here wrote."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import httpx
import pytest
from redis.asyncio import Redis
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.kit.oauth_server import OAuthServer, Person, oauth_server
from tests.kit.site_fixtures import (
    Browser,
    Place,
    handed_off,
    heading,
    query_of,
    shown_reference,
    site_at,
    site_environment,
)
from webui.commands.check import run_checkup
from webui.incident_codes import find_reference
from webui.text import words

pytestmark = pytest.mark.anyio

SITE = "http://127.0.0.1:8000"
CALLBACK = f"{SITE}/signin/sso/callback"
CLIENT_ID = "stargazer"
CLIENT_SECRET = "a secret: with+odd/characters%"


@pytest.fixture(scope="module")
def server() -> Iterator[OAuthServer]:
    with oauth_server() as running:
        running.add_application(CLIENT_ID, CLIENT_SECRET, [CALLBACK], f"{SITE}/signed-out")
        yield running


@pytest.fixture(scope="module")
def carol(server: OAuthServer) -> Iterator[Person]:
    person = server.add_person("carol", ["all", "support"])
    yield person
    person.close()


@pytest.fixture(scope="module")
def dave(server: OAuthServer) -> Iterator[Person]:
    person = server.add_person("dave", ["all"])
    yield person
    person.close()


def forwarding(server: OAuthServer) -> ASGIApp:
    """The network of a site in this process: all that it sends reaches the server."""

    async def forward(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.request(
                request.method,
                f"{server.url}{request.url.path}",
                headers=request.headers.raw,
                content=await request.body(),
            )
        response = Response(answer.content, answer.status_code, media_type="application/json")
        await response(scope, receive, send)

    return forward


def signing_on(
    redis_url: str, redis: Redis, server: OAuthServer, **changes: Any
) -> AbstractAsyncContextManager[Place]:
    settings = {
        "base_url": SITE,
        "oidc_issuer": server.issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
        "oidc_user_claim": "name",
        "support_group": "support",
        **changes,
    }
    return site_at(redis_url, redis, provider_app=forwarding(server), **settings)


@pytest.fixture
async def place(redis_url: str, redis: Redis, server: OAuthServer) -> AsyncIterator[Place]:
    server.forget()
    async with signing_on(redis_url, redis, server) as made:
        yield made


@pytest.fixture
async def browser(place: Place) -> Browser:
    return await place.browser()


async def begin(browser: Browser) -> str:
    return handed_off(await browser.post("/signin/sso", {"next": "/support"}))


def changed(url: str, **changes: str | None) -> str:
    """The address with other parameters; ``None`` takes one away."""
    parts = urlsplit(url)
    query = {**dict(parse_qsl(parts.query)), **changes}
    return urlunsplit(
        parts._replace(query=urlencode({k: v for k, v in query.items() if v is not None}))
    )


async def refusal(answer: httpx.Response, place: Place, status: int = 400) -> str:
    """Return the reason why nobody was signed in, as support reads it."""
    assert answer.status_code == status
    assert [name async for name in place.redis.scan_iter("stargazer:web_session:*")] == []
    reference = await find_reference(place.redis, shown_reference(answer))
    assert reference is not None
    return reference.error


async def test_staff_sign_in(
    place: Place, browser: Browser, server: OAuthServer, carol: Person
) -> None:
    answer = await browser.get(carol.allow(await begin(browser)))
    assert (answer.status_code, answer.headers["location"]) == (303, "/support")
    assert (await browser.get("/support")).status_code == 200
    (exchange,) = server.seen()
    assert (exchange.grant_type, exchange.auth, exchange.status) == (
        "authorization_code",
        "basic",
        200,
    )
    (name,) = [name async for name in place.redis.scan_iter("stargazer:web_session:*")]
    session = await place.redis.hgetall(name)
    assert session[b"user"] == b"carol"
    assert float(session[b"signed_in_at"]) <= time.time()  # auth_time


async def test_somebody_without_the_role_does_not(
    place: Place, browser: Browser, dave: Person
) -> None:
    answer = await browser.after_sign_on(dave.allow(await begin(browser)))
    await refusal(answer, place, 403)
    assert heading(answer.text) == words.text("error.signon_refused.title")


async def test_everybody_may_be_let_in_by_the_id_that_the_server_gives_them(
    redis_url: str, redis: Redis, server: OAuthServer, dave: Person
) -> None:
    changes = {"oidc_people": "everybody", "oidc_user_claim": "sub"}
    async with signing_on(redis_url, redis, server, **changes) as place:
        browser = await place.browser()
        url = handed_off(await browser.post("/signin/sso", {"next": "/connections"}))
        assert (await browser.get(dave.allow(url))).headers["location"] == "/connections"
        assert (await browser.get("/connections")).status_code == 200


async def test_who_loses_the_group_there_is_out_at_once_and_back_with_it(
    place: Place, browser: Browser, server: OAuthServer
) -> None:
    person = server.add_person("grace", ["all", "support"])
    await browser.get(person.allow(await begin(browser)))
    for groups, status in ((["all", "support"], 200), (["all"], 404), (["support"], 200)):
        server.put_into("grace", groups)
        for path in ("/support", "/support/people/ann"):
            assert (await browser.get(path)).status_code == status
    asked = server.seen("/o/userinfo/")
    assert [(seen.method, seen.status) for seen in asked] == [("GET", 200)] * 7
    person.close()


async def test_who_removes_our_access_there_has_to_sign_in_again(
    place: Place, browser: Browser, server: OAuthServer
) -> None:
    person = server.add_person("heidi", ["support"])
    await browser.get(person.allow(await begin(browser)))
    assert person.remove_access()
    answer = await browser.get("/support")
    assert answer.headers["location"] == "/signin?next=/support"
    assert "You are no longer signed in at" in (await browser.get(answer.headers["location"])).text
    await browser.get(person.allow(await begin(browser)))
    assert (await browser.get("/support")).status_code == 200
    person.close()


@pytest.mark.parametrize("nonce", ["of-another-attempt", None])
async def test_another_nonce_is_refused(
    place: Place, browser: Browser, carol: Person, nonce: str | None
) -> None:
    """Changed on the way there, so that the server signs it."""
    answer = await browser.after_sign_on(carol.allow(changed(await begin(browser), nonce=nonce)))
    assert await refusal(answer, place) == "nonce"


def in_another_place(issuer: str) -> str:
    return f"https://{urlsplit(issuer).netloc}/o"


@pytest.mark.parametrize("bend", [lambda _: None, lambda i: i + "/", str.upper, in_another_place])
async def test_another_issuer_or_none_is_refused_before_the_code_is_sent(
    place: Place,
    browser: Browser,
    server: OAuthServer,
    carol: Person,
    bend: Callable[[str], str | None],
) -> None:
    back = carol.allow(await begin(browser))
    assert query_of(back)["iss"] == server.issuer
    answer = await browser.after_sign_on(changed(back, iss=bend(server.issuer)))
    assert await refusal(answer, place) == "issuer"
    assert server.seen() == []


async def test_a_server_that_is_not_who_the_settings_say_is_not_asked(
    redis_url: str, redis: Redis, server: OAuthServer
) -> None:
    async with signing_on(redis_url, redis, server, oidc_issuer=server.issuer + "/") as place:
        answer = await (await place.browser()).post("/signin/sso")
        assert await refusal(answer, place, 503) == "other_issuer"


async def test_a_code_is_good_once(
    place: Place, browser: Browser, server: OAuthServer, carol: Person
) -> None:
    back = carol.allow(await begin(browser))
    assert (await browser.get(back)).status_code == 303
    await browser.post("/signout")
    assert await refusal(await browser.after_sign_on(back), place) == "unknown"
    assert len(server.seen()) == 1
    # And with a state that is good: the server refuses it.
    state = query_of(await begin(browser))["state"]
    assert (
        await refusal(await browser.after_sign_on(changed(back, state=state)), place)
        == "invalid_grant"
    )


async def test_a_code_that_was_made_for_somebody_elses_challenge_is_refused(
    place: Place, browser: Browser, server: OAuthServer, carol: Person, dave: Person
) -> None:
    stolen = query_of(dave.allow(await begin(await place.browser())))["code"]
    answer = await browser.after_sign_on(changed(carol.allow(await begin(browser)), code=stolen))
    assert await refusal(answer, place) == "invalid_grant"
    assert [seen.status for seen in server.seen()] == [400]


async def test_saying_no_there_is_told_calmly(
    place: Place, browser: Browser, server: OAuthServer, carol: Person
) -> None:
    answer = await browser.after_sign_on(carol.deny(await begin(browser)))
    assert await refusal(answer, place) == "access_denied"
    assert server.seen() == []


async def test_staff_whose_sign_in_is_old_have_to_sign_in_there_anew(
    place: Place, browser: Browser, server: OAuthServer
) -> None:
    person = server.add_person("erin", ["support"])
    await browser.get(person.allow(await begin(browser)))
    place.clock.advance(1801)
    page = person.opens(await begin(browser))
    assert urlsplit(page.headers["location"]).path == "/login/"
    person.close()


async def test_signing_out_ends_the_session_there_too_and_comes_back(
    place: Place, browser: Browser, server: OAuthServer
) -> None:
    person = server.add_person("frank", ["support"])
    await browser.get(person.allow(await begin(browser)))
    back = person.leaves(handed_off(await browser.post("/signout")))
    assert back == f"{SITE}/signed-out"
    assert "You are signed out" in (await browser.get(back)).text
    assert (await browser.get("/support")).headers["location"].startswith("/signin")
    asked = person.opens(await begin(browser))
    assert urlsplit(asked.headers["location"]).path == "/login/"
    person.close()


@pytest.mark.parametrize("slash", ["", "/"])
async def test_the_command_check_says_whether_discovery_works(
    redis_url: str, redis: Redis, server: OAuthServer, slash: str
) -> None:
    said: list[str] = []
    environ = site_environment(SITE, redis_url, {}) | {
        "OIDC_ISSUER": server.issuer + slash,
        "OIDC_CLIENT_ID": CLIENT_ID,
        "OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "SUPPORT_GROUP": "support",
    }
    await run_checkup(environ, said.append)
    told = "\n".join(said).partition("Sign-on:")[2]
    assert CALLBACK in told
    assert f"{SITE}/signed-out" in told
    assert ("reached" in told) is not bool(slash)
    assert ("NOT right (other_issuer)" in told) is bool(slash)
    assert CLIENT_SECRET not in "\n".join(said)
