"""Signing in with an OpenID provider, through the real pages: who gets in, and what is refused."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from base64 import b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.fake_answers import Answer, Gate, error_answer, json_answer, redirect
from tests.kit.fake_requests import Recorded
from tests.kit.library import BASE_URL, dumped, fake_provider, keys_at
from tests.kit.openid_server import (
    CLIENT_ID,
    CLIENT_SECRET,
    ISSUER,
    OpenIDServer,
    beside,
    new_key,
    unsigned,
)
from tests.kit.site_fixtures import (
    FROM_OUR_PAGE,
    Browser,
    Place,
    but_reference,
    handed_off,
    heading,
    query_of,
    shown_reference,
    site_at,
)
from webui.incident_codes import find_reference
from webui.text import words

pytestmark = pytest.mark.anyio

SETTINGS: dict[str, Any] = {
    "oidc_issuer": ISSUER,
    "oidc_client_id": CLIENT_ID,
    "oidc_client_secret": CLIENT_SECRET,
    "oidc_label": "Acme",
    "support_group": "support",
}
CALLBACK = "/signin/sso/callback"
NOT_FINISHED = words.text("error.signon.title")
AWAY = words.text("error.signon_away.title")


@pytest.fixture
def acme() -> OpenIDServer:
    return OpenIDServer()


@asynccontextmanager
async def signing_on(
    redis_url: str, redis: Redis, acme: OpenIDServer, **changes: Any
) -> AsyncIterator[Place]:
    """A site whose staff sign in at acme."""
    fake = fake_provider()
    settings = {**SETTINGS, **changes}
    there = site_at(redis_url, redis, fake, provider_app=beside(acme, fake), **settings)
    async with there as place:
        acme.clock = place.clock
        yield place


@pytest.fixture
async def place(redis_url: str, redis: Redis, acme: OpenIDServer) -> AsyncIterator[Place]:
    async with signing_on(redis_url, redis, acme) as made:
        yield made


@pytest.fixture
async def open_place(redis_url: str, redis: Redis, acme: OpenIDServer) -> AsyncIterator[Place]:
    """The same for everybody."""
    async with signing_on(redis_url, redis, acme, oidc_people="everybody") as made:
        yield made


async def begin(browser: Browser, next_page: str = "/support", **form: str) -> str:
    """Press the button: the authorize address that the hand-off page leads to."""
    return handed_off(await browser.post("/signin/sso", {"next": next_page, **form}))


async def sign_in(
    browser: Browser, acme: OpenIDServer, next_page: str = "/support"
) -> httpx.Response:
    return await browser.after_sign_on(acme.authorize(await begin(browser, next_page)))


async def sessions(redis: Redis) -> list[dict[Any, Any]]:
    names = [name async for name in redis.scan_iter("stargazer:web_session:*")]
    return [await redis.hgetall(name) for name in names]


async def is_refused(
    answer: httpx.Response, place: Place, title: str = NOT_FINISHED, status: int = 400
) -> bool:
    """A calm page with a reference, and nobody is signed in."""
    assert (answer.status_code, heading(answer.text)) == (status, title)
    assert shown_reference(answer)
    gives = [
        cookie for cookie in answer.headers.get_list("set-cookie") if "Max-Age=0" not in cookie
    ]
    return gives == [] and await sessions(place.redis) == []


async def reason(answer: httpx.Response, place: Place) -> str:
    """Return the reason that support reads about the page."""
    reference = await find_reference(place.redis, shown_reference(answer))
    assert reference is not None
    return reference.error


# Who gets in


async def test_staff_come_to_the_support_pages_and_nowhere_else(
    place: Place, acme: OpenIDServer
) -> None:
    browser = await place.browser()
    answer = await sign_in(browser, acme)
    assert (answer.status_code, answer.headers["location"]) == (303, "/support")
    assert (await browser.get("/support")).status_code == 200
    connections = await browser.get("/connections")
    assert connections.headers["location"].startswith("/signin")


async def test_a_session_keeps_what_decides_and_nothing_more(
    place: Place, acme: OpenIDServer
) -> None:
    acme.claims = {"groups": ["payroll", "support"], "email": "carol@acme.example"}
    await sign_in(await place.browser(), acme)
    (session,) = await sessions(place.redis)
    assert (session[b"user"], session[b"via"]) == (b"carol", b"sso")
    assert json.loads(session[b"groups"]) == ["support"]
    assert b"payroll" not in await dumped(place.redis)
    assert b"acme.example" not in await dumped(place.redis)


async def test_somebody_without_the_role_is_refused_and_not_told_why(
    place: Place, acme: OpenIDServer
) -> None:
    acme.claims = {"sub": "dave", "groups": ["payroll"]}
    browser = await place.browser()
    answer = await sign_in(browser, acme)
    assert await is_refused(answer, place, words.text("error.signon_refused.title"), 403)
    for word in ("dave", "payroll", "group", "staff"):
        assert word not in answer.text
    assert "send Stella: connect" in answer.text  # the way for everybody else
    assert (await browser.get("/support")).headers["location"].startswith("/signin")


@pytest.mark.parametrize("groups", [None, [], "", 5, {"support": 1}, ["Support"], ["supporters"]])
async def test_only_the_very_group_counts(place: Place, acme: OpenIDServer, groups: object) -> None:
    acme.claims = {"groups": groups}
    answer = await sign_in(await place.browser(), acme)
    assert await is_refused(answer, place, words.text("error.signon_refused.title"), 403)


async def test_a_claim_may_lie_deeper_and_hold_one_name(
    redis_url: str, redis: Redis, acme: OpenIDServer
) -> None:
    acme.claims = {"groups": None, "realm_access": {"roles": "support"}, "oid": "U-17"}
    changes = {"oidc_support_claim": "realm_access.roles", "oidc_user_claim": "oid"}
    async with signing_on(redis_url, redis, acme, **changes) as place:
        assert (await sign_in(await place.browser(), acme)).status_code == 303
        (session,) = await sessions(redis)
        assert session[b"user"] == b"U-17"


async def test_who_is_named_in_the_settings_needs_no_group(
    redis_url: str, redis: Redis, acme: OpenIDServer
) -> None:
    acme.claims = {"groups": []}
    users = frozenset({"carol"})
    async with signing_on(redis_url, redis, acme, support_users=users, support_group="") as place:
        browser = await place.browser()
        assert (await sign_in(browser, acme)).status_code == 303
        assert (await browser.get("/support")).status_code == 200


async def test_with_everybody_a_person_gets_to_the_connections(
    open_place: Place, acme: OpenIDServer
) -> None:
    acme.claims = {"sub": "ann", "groups": []}
    browser = await open_place.browser()
    answer = await sign_in(browser, acme, "/activity")
    assert (answer.status_code, answer.headers["location"]) == (303, "/activity")
    assert (await browser.get("/connections")).status_code == 200
    assert (await browser.get("/support")).status_code == 404
    (session,) = await sessions(open_place.redis)
    assert session[b"user"] == b"ann"


async def test_with_everybody_staff_get_two_sessions_that_end_together(
    open_place: Place, acme: OpenIDServer
) -> None:
    browser = await open_place.browser()
    await sign_in(browser, acme)
    for page in ("/support", "/connections"):
        assert (await browser.get(page)).status_code == 200
    assert len(await sessions(open_place.redis)) == 2
    await browser.post("/signout")
    assert await sessions(open_place.redis) == []


async def test_staff_keep_what_they_are_signed_in_as_beside_it(
    place: Place, acme: OpenIDServer
) -> None:
    """The way in from chat and the sign-on are two people to us, each with a cookie of its own."""
    browser = await place.signed_in("ann")
    assert (await browser.get("/signin")).status_code == 303
    page = await browser.get("/signin?next=/support")
    assert "Sign in with Acme" in page.text
    await sign_in(browser, acme)
    assert (await browser.get("/support")).status_code == 200
    assert (await browser.get("/connections")).status_code == 200


@pytest.mark.parametrize("user", [None, "", 5, ["carol"], {}, "x" * 256, "a\nb"])
async def test_a_claim_that_is_no_user_id_signs_nobody_in(
    redis_url: str, redis: Redis, acme: OpenIDServer, user: object
) -> None:
    acme.claims = {"oid": user}
    async with signing_on(redis_url, redis, acme, oidc_user_claim="oid") as place:
        answer = await sign_in(await place.browser(), acme)
        assert await is_refused(answer, place)
        assert await reason(answer, place) == "user_claim"


async def test_signing_in_gives_a_new_session_and_ends_the_old_one(
    open_place: Place, acme: OpenIDServer
) -> None:
    browser = await open_place.signed_in("ann")
    planted = dict(browser.client.cookies)
    await sign_in(browser, acme)
    other = await open_place.browser()
    other.client.cookies.update(planted)
    assert (await other.get("/connections")).status_code == 303
    assert dict(browser.client.cookies)["__Host-session"] != planted["__Host-session"]


# Leaving


async def test_what_is_asked_of_the_provider(place: Place) -> None:
    browser = await place.browser()
    asked = [query_of(await begin(browser)) for _ in range(20)]
    for query in asked:
        assert query["response_type"] == "code"
        assert query["response_mode"] == "query"
        assert query["code_challenge_method"] == "S256"
        assert query["redirect_uri"] == BASE_URL + CALLBACK
        assert query["scope"] == "openid"
        assert query["client_id"] == CLIENT_ID
        assert query["max_age"] == "1800"
        assert "prompt" not in query
    for name in ("state", "nonce", "code_challenge"):
        assert len({query[name] for query in asked}) == 20
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", query[name]) for query in asked)


@pytest.mark.parametrize(
    ("announced", "changes", "asked"),
    [
        (True, {}, {"groups"}),
        (True, {"oidc_user_claim": "oid"}, {"groups", "oid"}),
        (True, {"oidc_support_claim": "realm_access.roles"}, {"realm_access"}),
        (
            True,
            {"oidc_support_claim": "https://acme.example/roles"},
            {"https://acme.example/roles"},
        ),
        (True, {"support_group": "", "support_users": frozenset({"carol"})}, None),
        (None, {}, None),
        ("true", {}, None),
    ],
)
async def test_who_takes_wishes_is_asked_to_put_the_claims_where_they_are_read(
    redis_url: str,
    redis: Redis,
    acme: OpenIDServer,
    announced: object,
    changes: dict[str, Any],
    asked: set[str] | None,
) -> None:
    """Else they may stand in one of the two places alone (OpenID Connect Core, 5.4)."""
    acme.document["claims_parameter_supported"] = announced
    async with signing_on(redis_url, redis, acme, **changes) as place:
        query = query_of(await begin(await place.browser()))
        wishes = json.loads(query["claims"]) if "claims" in query else None
        again = dict.fromkeys(asked - {"oid"}) if asked else None
        assert wishes == (asked and {"id_token": dict.fromkeys(asked), "userinfo": again})
    acme.document["userinfo_endpoint"] = None
    async with signing_on(redis_url, redis, acme, **changes) as place:
        query = query_of(await begin(await place.browser()))
        wishes = json.loads(query["claims"]) if "claims" in query else None
        assert wishes == (asked and {"id_token": dict.fromkeys(asked)})


async def test_openid_is_always_among_the_scopes(
    redis_url: str, redis: Redis, acme: OpenIDServer
) -> None:
    async with signing_on(redis_url, redis, acme, oidc_scopes=("groups", "profile")) as place:
        query = query_of(await begin(await place.browser()))
        assert query["scope"] == "openid groups profile"


async def test_the_verifier_fits_the_challenge_and_stays_here_until_the_code_is_sent(
    place: Place, acme: OpenIDServer
) -> None:
    browser = await place.browser()
    url = await begin(browser)
    stored = await dumped(place.redis)
    await browser.get(acme.authorize(url))
    (exchange,) = acme.exchanges
    query, verifier = query_of(url), exchange.form["code_verifier"]
    digest = hashlib.sha256(verifier.encode()).digest()
    assert urlsafe_b64encode(digest).rstrip(b"=").decode() == query["code_challenge"]
    assert exchange.form["redirect_uri"] == query["redirect_uri"]
    secrets = [verifier, query["nonce"], query["state"], *browser.client.cookies.values()]
    assert not [secret for secret in secrets if secret.encode() in stored]


async def test_an_attempt_lives_ten_minutes_at_most_and_is_over_with_its_first_use(
    place: Place, acme: OpenIDServer
) -> None:
    browser = await place.browser()
    url = await begin(browser)
    (name,) = await keys_at(place.redis, "web_signon:*")
    assert 0 < await place.redis.pttl(name) <= 600_000
    await browser.get(acme.authorize(url))
    assert await keys_at(place.redis, "web_signon:*") == []


async def test_the_cookie_of_an_attempt_is_of_this_site_alone_and_goes_with_signing_out(
    place: Place, acme: OpenIDServer
) -> None:
    browser = await place.browser()
    handoff = await browser.post("/signin/sso", {"next": "/support"})
    (cookie,) = handoff.headers.get_list("set-cookie")
    name, *attributes = cookie.split("; ")
    assert re.fullmatch(r"__Host-signon=[A-Za-z0-9_-]{43}", name)
    assert {a.lower() for a in attributes} == {
        "httponly",
        "max-age=600",
        "path=/",
        "samesite=lax",
        "secure",
    }
    await browser.get(acme.authorize(handed_off(handoff)))
    late = acme.authorize(await begin(browser))
    await browser.post("/signout")
    assert "__Host-signon" not in browser.client.cookies
    assert await is_refused(await browser.after_sign_on(late), place)


async def test_with_htmx_the_page_is_left_at_once(place: Place) -> None:
    browser = await place.browser()
    answer = await browser.post("/signin/sso", {"next": "/support"}, htmx=True)
    assert answer.headers["hx-redirect"].startswith(f"{ISSUER}/authorize?")


async def test_the_way_back_is_one_of_our_pages_or_the_usual_one(
    open_place: Place, acme: OpenIDServer
) -> None:
    for asked in ("//evil.example", "https://evil.example", "/\\evil.example", "/nowhere", ""):
        answer = await sign_in(await open_place.browser(), acme, asked)
        assert answer.headers["location"] == "/connections"


async def test_for_staff_the_way_back_is_always_a_support_page(
    place: Place, acme: OpenIDServer
) -> None:
    for asked, found in (("/connections", "/support"), ("/support/people/ann",) * 2):
        answer = await sign_in(await place.browser(), acme, asked)
        assert answer.headers["location"] == found


@pytest.mark.parametrize(
    ("methods", "basic"),
    [
        (None, True),
        ([], True),
        (["client_secret_basic", "client_secret_post"], True),
        (["client_secret_post"], False),
        (["private_key_jwt", "client_secret_post"], False),
    ],
)
async def test_the_client_says_who_it_is_the_way_the_provider_takes_it(
    place: Place, acme: OpenIDServer, methods: object, basic: bool
) -> None:
    acme.document["token_endpoint_auth_methods_supported"] = methods
    assert (await sign_in(await place.browser(), acme)).status_code == 303
    (exchange,) = acme.exchanges
    assert ("authorization" in exchange.headers) is basic
    assert ("client_secret" in exchange.form) is not basic
    if basic:  # both halves are form-encoded first (RFC 6749, 2.3.1)
        pair = b64decode(exchange.headers["authorization"].removeprefix("Basic ")).decode()
        assert pair == "the+stargazer:canary%3Asecret%2Bof%2Fthe%25operator"


async def test_a_client_without_a_secret_only_names_itself(
    redis_url: str, redis: Redis, acme: OpenIDServer
) -> None:
    acme.client_secret = ""
    acme.document["token_endpoint_auth_methods_supported"] = ["none"]
    async with signing_on(redis_url, redis, acme, oidc_client_secret="") as place:
        assert (await sign_in(await place.browser(), acme)).status_code == 303
    (exchange,) = acme.exchanges
    assert "authorization" not in exchange.headers
    assert exchange.form["client_id"] == CLIENT_ID
    assert "client_secret" not in exchange.form


async def test_signing_in_is_begun_by_our_own_page_alone(place: Place) -> None:
    browser = await place.browser()
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {}):
        answer = await browser.client.post("/signin/sso", headers=headers)
        assert answer.status_code == 403
    assert (await browser.get("/signin/sso")).status_code == 405
    assert await keys_at(place.redis, "web_signon:*") == []


async def test_starting_again_and_again_is_limited(place: Place) -> None:
    browser = await place.browser()
    answers = [await browser.post("/signin/sso") for _ in range(61)]
    assert [a.status_code for a in answers] == [200] * 60 + [429]


async def test_without_sign_on_there_is_no_button_and_no_address(
    redis_url: str, redis: Redis
) -> None:
    async with site_at(redis_url, redis) as place:
        browser = await place.browser()
        assert "/signin/sso" not in (await browser.get("/signin")).text
        assert (await browser.post("/signin/sso")).status_code == 404
        assert (await browser.get(f"{CALLBACK}?code=x&state={'a' * 43}")).status_code == 404


async def test_the_button_for_staff_stands_below_the_way_for_people(
    place: Place, open_place: Place
) -> None:
    for_staff = (await (await place.browser()).get("/signin")).text
    for_all = (await (await open_place.browser()).get("/signin")).text
    explained = words.text("signin.send")
    assert for_staff.index(explained) < for_staff.index("Support staff: sign in with Acme")
    assert "Support staff:" in for_staff
    assert for_all.index("Sign in with Acme") < for_all.index(explained)
    assert "Support staff:" not in for_all


async def test_a_provider_without_a_name_is_called_by_its_host(
    redis_url: str, redis: Redis, acme: OpenIDServer
) -> None:
    async with signing_on(redis_url, redis, acme, oidc_label="") as place:
        assert "sign in with login.example" in (await (await place.browser()).get("/signin")).text


# Coming back


def bent(url: str, **changes: str | None) -> str:
    """The callback address with other parameters; ``None`` takes one away."""
    query = {**query_of(url), **changes}
    return f"{CALLBACK}?{urlencode({k: v for k, v in query.items() if v is not None})}"


@pytest.mark.parametrize(
    "state",
    [None, "", " ", "short", "A" * 43, "x" * 129, "a" * 30 + "\0", "a" * 30 + "*", "é" * 43],
)
async def test_a_state_that_is_wrong_or_missing_is_refused_before_anything_is_asked(
    place: Place, acme: OpenIDServer, state: str | None
) -> None:
    browser = await place.browser()
    url = acme.authorize(await begin(browser))
    answer = await browser.after_sign_on(bent(url, state=state))
    assert await is_refused(answer, place)
    assert acme.calls["/token"] == 0
    assert (await browser.get(url)).status_code == 303  # the attempt itself is untouched


@pytest.mark.parametrize("issuer", [None, "", ISSUER + "/", ISSUER.upper(), "https://evil.example"])
async def test_an_answer_of_another_issuer_is_refused_before_anything_is_asked(
    place: Place, acme: OpenIDServer, issuer: str | None
) -> None:
    browser = await place.browser()
    answer = await browser.after_sign_on(bent(acme.authorize(await begin(browser)), iss=issuer))
    assert await is_refused(answer, place)
    assert await reason(answer, place) == "issuer"
    assert acme.calls["/token"] == 0


async def test_who_does_not_announce_iss_need_not_send_it_but_may_not_send_another(
    redis_url: str, redis: Redis
) -> None:
    quiet = OpenIDServer(sends_issuer=False)
    async with signing_on(redis_url, redis, quiet) as place:
        browser = await place.browser()
        url = quiet.authorize(await begin(browser))
        assert await is_refused(
            await browser.after_sign_on(bent(url, iss="https://evil.example")), place
        )
        assert quiet.calls["/token"] == 0
        assert (await sign_in(browser, quiet)).status_code == 303


@pytest.mark.parametrize("doubled", ["state", "code", "iss", "other"])
async def test_a_parameter_that_stands_twice_is_refused(
    place: Place, acme: OpenIDServer, doubled: str
) -> None:
    browser = await place.browser()
    url = acme.authorize(await begin(browser))
    assert await is_refused(await browser.after_sign_on(f"{url}&{doubled}=x&{doubled}=x"), place)
    assert acme.calls["/token"] == 0


async def test_another_browser_is_refused_and_ends_the_attempt(
    place: Place, acme: OpenIDServer
) -> None:
    """Also with a cookie of its own, or one made of what can be seen."""
    for cookie in ("", "own", "state"):
        browser, other = await place.browser(), await place.browser()
        url = acme.authorize(await begin(browser))
        if cookie == "own":
            await begin(other)
        elif cookie == "state":
            other.client.cookies.set("__Host-signon", query_of(url)["state"])
        answer = await other.after_sign_on(url)
        assert await is_refused(answer, place)
        assert await reason(answer, place) == "other_browser"
        assert await is_refused(await browser.after_sign_on(url), place)
    assert acme.calls["/token"] == 0


async def test_an_answer_is_good_once(place: Place, acme: OpenIDServer) -> None:
    browser = await place.browser()
    url = acme.authorize(await begin(browser))
    assert (await browser.get(url)).status_code == 303
    await browser.post("/signout")
    assert await is_refused(await browser.after_sign_on(url), place)
    assert acme.calls["/token"] == 1


async def test_one_of_many_callbacks_at_once_is_answered(place: Place, acme: OpenIDServer) -> None:
    browser = await place.browser()
    url = acme.authorize(await begin(browser))
    answers = await asyncio.gather(*(browser.after_sign_on(url) for _ in range(20)))
    assert sorted(a.status_code for a in answers) == [303] + [400] * 19
    assert acme.calls["/token"] == 1
    assert len(await sessions(place.redis)) == 1


async def test_an_attempt_that_ran_out_is_refused(place: Place, acme: OpenIDServer) -> None:
    browser = await place.browser()
    url = acme.authorize(await begin(browser))
    (name,) = await keys_at(place.redis, "web_signon:*")
    await place.redis.delete(name)
    assert await is_refused(await browser.after_sign_on(url), place)
    assert acme.calls["/token"] == 0


async def test_a_code_of_another_attempt_is_worth_nothing(place: Place, acme: OpenIDServer) -> None:
    """Somebody else's code, with a state of this browser (RFC 7636)."""
    browser, attacker = await place.browser(), await place.browser()
    stolen = query_of(acme.authorize(await begin(attacker)))["code"]
    url = acme.authorize(await begin(browser))
    answer = await browser.after_sign_on(bent(url, code=stolen))
    assert await is_refused(answer, place)
    assert await reason(answer, place) == "invalid_grant"


async def test_two_tabs_do_not_end_each_others_attempts(place: Place, acme: OpenIDServer) -> None:
    browser = await place.browser()
    first, second = [acme.authorize(await begin(browser)) for _ in range(2)]
    for tab in (first, second):
        assert (await browser.get(tab)).status_code == 303


async def test_a_state_of_one_flow_is_none_of_the_other(
    open_place: Place, acme: OpenIDServer
) -> None:
    browser = await open_place.signed_in("ann")
    connecting = query_of(open_place.fake.authorize(await browser.begin("github")))
    answer = await browser.after_sign_on(f"{CALLBACK}?{urlencode(connecting)}")
    assert (answer.status_code, heading(answer.text)) == (400, NOT_FINISHED)
    signing = query_of(acme.authorize(await begin(browser)))
    await browser.get(f"/oauth/github/callback?{urlencode(signing)}")
    assert await open_place.records() == {}
    assert acme.calls["/token"] == open_place.fake.calls["token"] == 0


@pytest.mark.parametrize("error", ["access_denied", "server_error", "login_required", "<b>x</b>"])
async def test_an_error_of_the_provider_is_told_in_our_words(
    place: Place, acme: OpenIDServer, error: str
) -> None:
    browser = await place.browser()
    url = acme.authorize(await begin(browser))
    said = {"error": error, "error_description": "<script>canary", "error_uri": "//canary"}
    answer = await browser.after_sign_on(bent(url, **said))
    assert await is_refused(answer, place)
    assert "canary" not in answer.text
    assert "<b>" not in answer.text
    assert acme.calls["/token"] == 0
    assert await is_refused(await browser.after_sign_on(url), place)  # the state is used up


async def test_every_refusal_is_the_same_page(place: Place, acme: OpenIDServer) -> None:
    browser = await place.browser()
    good = acme.authorize(await begin(browser))
    pages = [await browser.after_sign_on(bent(good, iss="https://evil.example"))]
    changes: list[dict[str, str | None]] = [{"state": None}, {"state": "A" * 43}, {"code": None}]
    pages += [await browser.after_sign_on(bent(good, **change)) for change in [*changes, {}]]
    acme.claims = {"nonce": "other"}
    pages.append(await sign_in(browser, acme))
    acme.claims = {"aud": "other"}
    pages.append(await sign_in(browser, acme))
    pages.append(await (await place.browser()).after_sign_on(acme.authorize(await begin(browser))))
    assert len({(page.status_code, but_reference(page)) for page in pages}) == 1
    assert await sessions(place.redis) == []


async def test_a_preview_and_a_prefetch_burn_nothing(place: Place, acme: OpenIDServer) -> None:
    browser = await place.browser()
    url = acme.authorize(await begin(browser))
    assert (await browser.client.head(url)).status_code == 405
    for name, value in (
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
    ):
        assert (await browser.get(url, headers={name: value})).status_code == 503
    assert (await browser.client.post(url, headers=FROM_OUR_PAGE)).status_code == 405
    assert acme.calls["/token"] == 0
    assert (await browser.get(url)).status_code == 303


async def test_what_another_sites_page_embeds_burns_nothing_and_is_counted_for_nobody(
    place: Place, acme: OpenIDServer
) -> None:
    browser = await place.browser()
    url = acme.authorize(await begin(browser))
    for path in (url, f"{CALLBACK}?code=x&state={'x' * 43}"):
        for dest, mode in (("image", "no-cors"), ("empty", "cors"), ("iframe", "navigate")):
            headers = {"sec-fetch-dest": dest, "sec-fetch-mode": mode}
            for _ in range(25):
                assert (await browser.get(path, headers=headers)).status_code == 403
    assert acme.calls["/token"] == 0
    assert (await browser.get(url)).status_code == 303


async def test_a_neighbour_who_uses_up_the_limit_of_an_address_keeps_no_known_browser_out(
    place: Place, acme: OpenIDServer
) -> None:
    staff = await place.browser(address="192.0.2.200")
    await sign_in(staff, acme)
    await staff.post("/signout")
    neighbour = await place.browser(address="192.0.2.200")
    seen = [(await neighbour.post("/signin/sso")).status_code for _ in range(61)]
    assert seen[-1] == 429
    assert (await sign_in(staff, acme)).headers["location"] == "/support"


async def test_guessing_states_is_limited(place: Place) -> None:
    browser = await place.browser()
    guesses = (f"{CALLBACK}?code=x&state={i:043d}" for i in range(61))
    pages = [await browser.after_sign_on(guess) for guess in guesses]
    assert [page.status_code for page in pages] == [400] * 60 + [429]
    page = await (await place.browser()).get("/signin/ended/too-many")
    assert (page.status_code, heading(page.text)) == (400, NOT_FINISHED)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("signon_old?again=/support/people/ann", 403),
        ("signon_old?again=//evil.example", 403),
        ("signon_old?again=/connections", 403),
        ("signon_away?ref=K4T9WX", 503),
        ("signon?ref=<b>", 400),
        ("never_heard_of", 404),
        ("attempt", 404),
    ],
)
async def test_an_ending_says_what_it_is_made_for_and_nothing_that_its_address_does(
    place: Place, path: str, status: int
) -> None:
    page = await (await place.browser()).get(f"/signin/ended/{path}")
    assert page.status_code == status
    assert "evil" not in page.text
    assert "<b>" not in page.text
    assert ('value="/support/people/ann"' in page.text) == ("people/ann" in path)
    assert ("K4T9WX" in page.text) == ("K4T9WX" in path)


# Id tokens


def forged(alg: str) -> Any:
    return lambda claims: unsigned({"alg": alg}, claims) + "."


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"nonce": None}, "nonce"),
        ({"nonce": "of another attempt"}, "nonce"),
        ({"iss": ISSUER + "/"}, "invalid_claim iss"),
        ({"aud": "other"}, "invalid_claim aud"),
        ({"aud": [CLIENT_ID, "other"]}, "azp"),
        ({"azp": "other"}, "azp"),
        ({"exp": 1000}, "expired_token exp"),
        ({"iat": None}, "missing_claim iat"),
        ({"sub": None}, "missing_claim sub"),
        ({"auth_time": 10**11}, "auth_time"),
    ],
)
async def test_an_id_token_that_proves_nothing_signs_nobody_in(
    place: Place, acme: OpenIDServer, claims: dict[str, Any], why: str
) -> None:
    acme.claims = claims
    answer = await sign_in(await place.browser(), acme)
    assert await is_refused(answer, place)
    assert await reason(answer, place) == why


@pytest.mark.parametrize("alg", ["none", "NONE", "HS256"])
async def test_an_id_token_without_the_providers_signature_signs_nobody_in(
    place: Place, acme: OpenIDServer, alg: str
) -> None:
    acme.sign = forged(alg)
    answer = await sign_in(await place.browser(), acme)
    assert await is_refused(answer, place)
    assert await reason(answer, place) == "unsupported_algorithm"


async def test_an_id_token_of_another_key_signs_nobody_in(place: Place, acme: OpenIDServer) -> None:
    kid = acme.keys[0].kid
    acme.sign = lambda claims: acme.signed(claims, new_key(str(kid)))
    answer = await sign_in(await place.browser(), acme)
    assert await is_refused(answer, place)
    assert await reason(answer, place) == "bad_signature"


@pytest.mark.parametrize("token", [None, 5, "", "x.y.z", ["a"], "x" * 200_000])
async def test_an_answer_without_an_id_token_signs_nobody_in(
    place: Place, acme: OpenIDServer, token: object
) -> None:
    content = {"access_token": "a" * 20, "token_type": "Bearer", "id_token": token}
    acme.answers["/token"] = json_answer(content)
    assert await is_refused(await sign_in(await place.browser(), acme), place)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {}, b"<html>"),
        Answer(200, {}, b""),
        Answer(200, {}, b" " * (256 * 1024 + 1)),
        Answer(500),
        Answer(503, {}, b"{}"),
        redirect("https://elsewhere.example/token"),
        error_answer("invalid_client", 401),
        error_answer("server_error", 500),
        json_answer({"id_token": "x.y.z"}),
    ],
)
@pytest.mark.parametrize("endpoint", ["/token", "/jwks", "/.well-known/openid-configuration"])
async def test_trouble_at_the_provider_is_trouble_and_nobody_gets_in(
    place: Place, acme: OpenIDServer, endpoint: str, answer: Answer
) -> None:
    browser = await place.browser()
    if "well-known" not in endpoint:
        url = acme.authorize(await begin(browser))
        acme.answers[endpoint] = answer
        page = await browser.after_sign_on(url)
    else:
        acme.answers[endpoint] = answer
        page = await browser.post("/signin/sso")
    assert await is_refused(page, place, AWAY, 503)


async def test_a_redirect_of_the_token_endpoint_takes_no_secret_along(
    place: Place, acme: OpenIDServer
) -> None:
    acme.answers["/token"] = redirect(f"{ISSUER}/elsewhere", 307)
    await sign_in(await place.browser(), acme)
    assert acme.calls["/elsewhere"] == 0


async def test_a_provider_that_takes_no_secret_of_ours_is_told_to_the_operator(
    place: Place, acme: OpenIDServer
) -> None:
    acme.document["token_endpoint_auth_methods_supported"] = ["private_key_jwt"]
    page = await (await place.browser()).post("/signin/sso")
    assert await is_refused(page, place, AWAY, 503)
    assert await reason(page, place) == "client_authentication"


async def test_without_redis_nothing_is_guessed(acme: OpenIDServer, redis: Redis) -> None:
    nowhere = "redis://127.0.0.1:1/0"
    async with signing_on(nowhere, redis, acme) as place:
        browser = await place.browser()
        assert (await browser.post("/signin/sso")).status_code == 503
        url = f"{CALLBACK}?code=x&state={'A' * 43}"
        assert (await browser.after_sign_on(url)).status_code == 503
    assert acme.calls["/token"] == 0


# How old a sign-in is


async def test_a_session_is_as_old_as_the_sign_in_at_the_provider(
    place: Place, acme: OpenIDServer
) -> None:
    acme.claims = {"auth_time": int(acme.clock.now()) - 1000}
    await sign_in(await place.browser(), acme)
    (session,) = await sessions(place.redis)
    assert float(session[b"signed_in_at"]) == acme.claims["auth_time"]


async def test_staff_whose_sign_in_is_old_are_asked_at_the_provider_anew(
    place: Place, acme: OpenIDServer
) -> None:
    browser = await place.browser()
    await sign_in(browser, acme)
    place.clock.advance(1801)
    stale = await browser.get("/support")
    assert stale.headers["location"] == "/signin?next=/support"
    page = (await browser.get(stale.headers["location"])).text
    assert page.index("Sign in with Acme") < page.index(words.text("signin.send"))
    assert "Support staff:" not in page  # who they are is known
    url = await begin(browser)
    assert query_of(url)["prompt"] == "login"
    await browser.get(acme.authorize(url))
    assert (await browser.get("/support")).status_code == 200


async def test_a_provider_that_does_not_ask_anew_is_named_instead_of_going_in_circles(
    place: Place, acme: OpenIDServer
) -> None:
    acme.claims = {"auth_time": int(acme.clock.now()) - 1801}
    browser = await place.browser()
    answer = await sign_in(browser, acme)
    assert await is_refused(answer, place, words.text("error.signon_old.title"), 403)
    assert "sign out at Acme first" in answer.text
    form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', answer.text))
    assert query_of(await begin(browser, form["next"], again=form["again"]))["prompt"] == "login"


async def test_for_ones_own_pages_any_sign_in_there_will_do(
    open_place: Place, acme: OpenIDServer
) -> None:
    acme.claims = {"auth_time": int(acme.clock.now()) - 100_000, "groups": []}
    browser = await open_place.browser()
    url = await begin(browser, "/connections", again="yes")
    assert {"max_age", "prompt"}.isdisjoint(query_of(url))
    await browser.get(acme.authorize(url))
    assert (await browser.get("/connections")).status_code == 200


@pytest.mark.parametrize("told", [0, 1000])
async def test_staff_whose_sign_in_there_is_old_are_not_new_by_way_of_their_own_pages(
    open_place: Place, acme: OpenIDServer, told: int
) -> None:
    acme.claims = {"auth_time": told}
    browser = await open_place.browser()
    assert (await sign_in(browser, acme, "/connections")).status_code == 303
    assert (await browser.get("/connections")).status_code == 200
    assert (await browser.get("/support")).headers["location"] == "/signin?next=/support"


# Signing out


async def test_signing_out_goes_on_to_the_provider_without_any_token(
    place: Place, acme: OpenIDServer
) -> None:
    browser = await place.browser()
    await sign_in(browser, acme)
    copy = dict(browser.client.cookies)
    answer = await browser.post("/signout")
    url = handed_off(answer)
    assert url.startswith(f"{ISSUER}/logout?")
    assert query_of(url) == {
        "client_id": CLIENT_ID,
        "post_logout_redirect_uri": f"{BASE_URL}/signed-out",
    }
    assert answer.headers["clear-site-data"] == '"cache", "storage"'
    assert await sessions(place.redis) == []
    thief = await place.browser()
    thief.client.cookies.update(copy)
    assert (await thief.get("/support")).headers["location"].startswith("/signin")


async def test_signing_out_everywhere_goes_on_to_the_provider_too(
    open_place: Place, acme: OpenIDServer
) -> None:
    here, there = await open_place.browser(), await open_place.browser()
    for browser in (here, there):
        await sign_in(browser, acme, "/connections")
    url = handed_off(await here.post("/signout/everywhere"))
    assert url.startswith(f"{ISSUER}/logout?")
    assert (await there.get("/connections")).headers["location"].startswith("/signin")


async def test_signing_out_everywhere_ends_a_staff_session_at_the_provider_too(
    place: Place, acme: OpenIDServer
) -> None:
    browser = await place.browser()
    await place.prove(browser, "carol")
    await sign_in(browser, acme)
    assert handed_off(await browser.post("/signout/everywhere")).startswith(f"{ISSUER}/logout?")
    assert (await browser.get("/support")).headers["location"].startswith("/signin")


@pytest.mark.parametrize("trouble", ["none", "away", "other", "silent"])
async def test_without_the_provider_signing_out_works_all_the_same(
    redis_url: str, redis: Redis, trouble: str
) -> None:
    acme = OpenIDServer()
    async with signing_on(redis_url, redis, acme) as before:
        browser = await before.browser()
        await sign_in(browser, acme)
        kept = dict(browser.client.cookies)
    if trouble == "none":
        acme.document["end_session_endpoint"] = None
    elif trouble == "silent":
        acme.gates["/.well-known/openid-configuration"] = Gate()
    else:
        document = Answer(503) if trouble == "away" else json_answer({"issuer": "x"})
        acme.answers["/.well-known/openid-configuration"] = document
    async with signing_on(redis_url, redis, acme) as after:  # a process that has asked nothing yet
        browser = await after.browser()
        browser.client.cookies.update(kept)
        answer = await browser.post("/signout")
        assert (answer.status_code, answer.headers["location"]) == (303, "/signed-out")
        assert await sessions(redis) == []


async def test_who_came_from_chat_is_not_sent_to_the_provider(
    place: Place, acme: OpenIDServer
) -> None:
    browser = await place.signed_in("ann")
    answer = await browser.post("/signout")
    assert (answer.status_code, answer.headers["location"]) == (303, "/signed-out")
    assert not acme.calls


# Secrecy


async def test_no_secret_of_any_of_it_is_written_down(
    open_place: Place,
    acme: OpenIDServer,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level("DEBUG")
    secrets = {CLIENT_SECRET, *forms_of_the_client()}
    pages: list[str] = []
    faults: list[Any] = [{}, {"nonce": "other"}, {"aud": "other"}, {"sub": 5}, {"exp": 5}]
    for claims in faults:
        acme.claims = claims
        browser = await open_place.browser()
        url = await begin(browser)
        secrets |= {query_of(url)["state"], query_of(url)["nonce"]}
        secrets |= set(browser.client.cookies.values())
        for answer in (await browser.get(acme.authorize(url)), await browser.post("/signout")):
            pages.append(answer.text)
            secrets |= {value for value in answer.cookies.values() if value.strip('"')}
    acme.answers["/token"] = echoed
    pages.append((await sign_in(await open_place.browser(), acme)).text)
    secrets |= acme.issued | {exchange.form["code_verifier"] for exchange in acme.exchanges}
    ours = [r.getMessage() for r in caplog.records if r.name != "httpx"]  # of the test's browsers
    written = "".join([*ours, *capfd.readouterr(), *pages])
    stored = (await dumped(open_place.redis)).decode("latin-1")
    assert len(secrets) > 30
    assert not [secret for secret in secrets if secret in written]
    assert not [secret for secret in secrets if secret in stored]


def forms_of_the_client() -> set[str]:
    return {"canary%3Asecret%2Bof%2Fthe%25operator"}


def echoed(request: Recorded) -> Answer:
    """A provider that says what it was sent."""
    body = request.body.decode()
    return json_answer({"error": body, "error_description": str(request.headers)}, 400)
