"""Staff who signed on lose the role the moment their provider takes it from them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.fake_answers import Answer, Gate, error_answer, gzip_bomb, json_answer, redirect
from tests.kit.fake_requests import Recorded
from tests.kit.library import OTHER_KEY, dumped
from tests.kit.openid_server import ISSUER, OpenIDServer, Scripted
from tests.kit.site_fixtures import Browser, Place, commands, heading, shown_reference
from tests.kit.standings import moved, session_in, shape
from tests.site.test_sign_on_site import begin, is_refused, reason, sessions, sign_in, signing_on
from webui.access.roles import STAFF_SECONDS
from webui.incident_codes import find_reference
from webui.oauth_manager import AuditRecord
from webui.oauth_manager.storage.sealer import Sealer
from webui.sign_on.userinfo import userinfo_request
from webui.text import words

pytestmark = pytest.mark.anyio

USERINFO = "/userinfo"
PAGES = ("/support", "/support/people/ann", "/support/people/ann/preview?reason=ticket+1")
REFUSED = words.text("error.signon_refused.title")
AWAY = words.text("error.signon_away.title")
UNKNOWN = words.text("error.signon_role.title")
JWT = Answer(200, {"content-type": "application/jwt; charset=utf-8"}, b"x.y.z")
OVER = [error_answer("invalid_token", 401), error_answer("insufficient_scope", 403), Answer(401)]
TROUBLE = [
    Answer(200, {"content-type": "application/json"}, b"<html>"),
    Answer(200, {}, b""),
    Answer(200, {}, b" " * (256 * 1024 + 1)),
    json_answer(["support"]),
    json_answer({"groups": ["support"]}),
    gzip_bomb(4 * 1024 * 1024),
    redirect("https://elsewhere.example/userinfo"),
    error_answer("invalid_request", 400),
    json_answer({"sub": "carol", "groups": ["support"]}, 404),
    json_answer({"sub": "carol", "groups": ["support"]}, 302),
    Answer(429, {"retry-after": "5"}),
    json_answer({"sub": "carol", "groups": ["support"]}, 500),
    Answer(503),
]


@pytest.fixture
def acme() -> OpenIDServer:
    return OpenIDServer()


@pytest.fixture
async def place(redis_url: str, redis: Redis, acme: OpenIDServer) -> AsyncIterator[Place]:
    async with signing_on(redis_url, redis, acme) as made:
        yield made


@pytest.fixture
async def carol(place: Place, acme: OpenIDServer) -> Browser:
    """Staff, whose role the provider has confirmed."""
    browser = await place.browser()
    assert (await sign_in(browser, acme)).status_code == 303
    return browser


async def sealed_in(place: Place, browser: Browser) -> str:
    session = await session_in(place, browser, "staff")
    return session.sealed_token if session else ""


async def denied(place: Place) -> list[AuditRecord]:
    return [record async for record in place.bot.audit.read(place.redis, 0.0)]


async def is_asked_to_sign_in(browser: Browser) -> bool:
    answer = await browser.get("/support")
    return bool(answer.headers.get("location") == "/signin?next=/support")


# Once signed in


async def test_the_provider_is_asked_once_with_every_request_of_staff(
    place: Place, acme: OpenIDServer, carol: Browser
) -> None:
    for number, path in enumerate(PAGES, 2):
        assert (await carol.get(path)).status_code == 200
        assert acme.calls[USERINFO] == number
    await carol.post("/support/people/ann/end-sessions", {"reason": "ticket 1"})
    assert acme.calls[USERINFO] == len(PAGES) + 2
    await carol.get("/connections")
    await carol.get("/signin")
    assert acme.calls[USERINFO] == len(PAGES) + 2


@pytest.mark.parametrize(
    "groups",
    [None, [], "", 5, {"support": 1}, ["payroll"], ["Support"], [["support"]], "supporters"],
)
async def test_who_has_lost_the_group_sees_what_everybody_sees(
    place: Place, acme: OpenIDServer, carol: Browser, groups: object
) -> None:
    acme.userinfo = {"groups": groups}
    nothing = shape(await carol.get("/nothing/is/here"))
    for path in PAGES:
        assert shape(await carol.get(path)) == nothing
    answer = await carol.post("/support/people/ann/end-sessions", {"reason": "ticket 1"})
    assert answer.status_code == 404
    assert {(r.who, r.via, r.action) for r in await denied(place)} == {("carol", "sso", "denied")}


async def test_who_gets_the_group_back_is_let_in_with_the_same_cookie(
    acme: OpenIDServer, carol: Browser
) -> None:
    for groups, status in (([], 404), ("support", 200), (["x"], 404), (["x", "support"], 200)):
        acme.userinfo = {"groups": groups}
        assert (await carol.get("/support")).status_code == status


async def test_a_copied_cookie_is_dead_with_the_role(
    place: Place, acme: OpenIDServer, carol: Browser
) -> None:
    thief = await place.browser()
    thief.client.cookies.update(carol.client.cookies)
    assert (await thief.get("/support")).status_code == 200
    acme.userinfo = {"groups": []}
    assert (await thief.get("/support")).status_code == 404


async def test_an_answer_about_somebody_else_is_no_role(acme: OpenIDServer, carol: Browser) -> None:
    for subject in ("mallory", "Carol", "carol ", 5, None, ["carol"]):
        acme.answers[USERINFO] = json_answer({"sub": subject, "groups": ["support"]})
        assert (await carol.get("/support")).status_code == 404


@pytest.mark.parametrize("answer", OVER)
async def test_whose_sign_in_there_is_over_signs_in_again(
    acme: OpenIDServer, carol: Browser, answer: Answer
) -> None:
    acme.answers[USERINFO] = answer
    assert await is_asked_to_sign_in(carol)
    assert (await carol.get("/support", htmx=True)).status_code == 401
    page = await carol.get("/signin?next=/support")
    assert "You are no longer signed in at Acme." in page.text
    assert "Sign in with Acme" in page.text
    del acme.answers[USERINFO]
    await sign_in(carol, acme)
    assert (await carol.get("/support")).status_code == 200


@pytest.mark.parametrize("answer", [*TROUBLE, JWT])
async def test_in_trouble_nothing_is_shown_and_nothing_done(
    place: Place, acme: OpenIDServer, carol: Browser, answer: Answer
) -> None:
    acme.answers[USERINFO] = answer
    for path in PAGES:
        page = await carol.get(path)
        assert (page.status_code, heading(page.text)) == (503, UNKNOWN)
        assert "We ask Acme each time who may see them." in page.text
        assert page.headers["retry-after"]
        assert 'id="way-on" href="">Try again</a>' in page.text
    ann = await place.signed_in("ann")
    page = await carol.post("/support/people/ann/end-sessions", {"reason": "ticket 1"}, htmx=True)
    assert page.status_code == 503
    assert UNKNOWN in page.text
    assert (await ann.get("/connections")).status_code == 200
    assert await denied(place) == []
    assert acme.calls["/elsewhere"] == 0
    assert (await carol.get("/signin?next=/support")).status_code == 200  # and not in a circle
    del acme.answers[USERINFO]
    assert (await carol.get("/support")).status_code == 200


async def test_the_page_of_trouble_can_be_told_to_whoever_runs_it(
    place: Place, acme: OpenIDServer, carol: Browser
) -> None:
    acme.answers[USERINFO] = Answer(503)
    reference = await find_reference(place.redis, shown_reference(await carol.get("/support")))
    assert reference
    assert (reference.kind, reference.provider) == ("signon_role", "sign-on")
    assert reference.error == "http_503"


async def test_a_provider_that_is_silent_is_not_waited_for(
    acme: OpenIDServer, carol: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webui.sign_on.userinfo.DEADLINE_WHILE_WAITING", 0.05)
    acme.gates[USERINFO] = Gate()
    page = await carol.get("/support")
    assert (page.status_code, heading(page.text)) == (503, UNKNOWN)


async def test_discovery_that_is_silent_is_not_waited_for_either(
    redis_url: str,
    redis: Redis,
    acme: OpenIDServer,
    carol: Browser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("webui.sign_on.userinfo.DEADLINE_WHILE_WAITING", 0.05)
    acme.gates["/.well-known/openid-configuration"] = Gate()
    async with signing_on(redis_url, redis, acme) as other:
        assert (await (await moved(carol, other)).get("/support")).status_code == 503


async def test_nothing_is_written_when_staff_open_a_page_or_are_no_longer_staff(
    place: Place, acme: OpenIDServer, carol: Browser
) -> None:
    async with commands(place.redis) as seen:
        await carol.get("/support")
    assert {line.split()[0] for line in seen} <= {"HGETALL"}
    before = await sessions(place.redis)
    for answer in (json_answer({"sub": "carol"}), *OVER, Answer(503)):
        acme.answers[USERINFO] = answer
        await carol.get("/support")
    assert await sessions(place.redis) == before


async def test_the_provider_is_asked_after_what_can_be_told_without_it(
    redis_url: str, redis: Redis, place: Place, acme: OpenIDServer, carol: Browser
) -> None:
    asked = acme.calls[USERINFO]
    async with signing_on(redis_url, redis, acme, support_group="others") as other:
        assert (await (await moved(carol, other)).get("/support")).status_code == 404
    place.clock.advance(STAFF_SECONDS)
    assert await is_asked_to_sign_in(carol)
    (name,) = [name async for name in redis.scan_iter("stargazer:web_session:*")]
    await redis.hset(name, "signed_in_at", "nan")
    assert await is_asked_to_sign_in(carol)
    assert acme.calls[USERINFO] == asked


async def test_who_stands_in_the_settings_needs_no_answer(
    redis_url: str, redis: Redis, acme: OpenIDServer, carol: Browser
) -> None:
    acme.answers[USERINFO] = Answer(503)
    asked = acme.calls[USERINFO]
    async with signing_on(redis_url, redis, acme, support_users=frozenset({"carol"})) as other:
        assert (await (await moved(carol, other)).get("/support")).status_code == 200
    assert acme.calls[USERINFO] == asked


# The token


async def test_the_token_is_kept_sealed_in_the_staff_session_alone(
    redis_url: str, redis: Redis, acme: OpenIDServer
) -> None:
    async with signing_on(redis_url, redis, acme, oidc_people="everybody") as place:
        browser = await place.browser()
        await sign_in(browser, acme)
        kept = [session for session in await sessions(redis) if b"sealed_token" in session]
        assert (len(kept), len(await sessions(redis))) == (1, 2)
        (token,) = [value for value in acme.issued if value.startswith("access-")]
        assert token.encode() not in await dumped(redis)
        sealer = Sealer(" ".join(place.settings.encryption_keys))
        opened = sealer.open("staff", "carol", ISSUER, kept[0][b"sealed_token"])
        assert (opened["access_token"], opened["sub"]) == (token, "carol")
        session = await session_in(place, browser, "staff")
        assert session
        assert session.sealed_token
        assert session.sealed_token not in repr(session)
        assert token not in repr(userinfo_request(f"{ISSUER}/userinfo", token))
        await browser.post("/signout")
        assert await sessions(redis) == []


@pytest.mark.parametrize("kept", ["another person's", "junk", "of another kind", "\u20ac"])
async def test_a_seal_that_cannot_be_opened_is_a_sign_in_that_is_over(
    place: Place, acme: OpenIDServer, carol: Browser, kept: str
) -> None:
    sealer = Sealer(" ".join(place.settings.encryption_keys))
    payload = {"access_token": "access-x", "sub": "carol"}
    if kept.startswith("another"):
        kept = sealer.seal("staff", "dave", ISSUER, payload)
    elif kept.startswith("of"):
        kept = sealer.seal("tokens", "carol", ISSUER, payload)
    (name,) = [name async for name in place.redis.scan_iter("stargazer:web_session:*")]
    await place.redis.hset(name, "sealed_token", kept)
    asked = acme.calls[USERINFO]
    assert await is_asked_to_sign_in(carol)
    assert acme.calls[USERINFO] == asked


async def test_with_another_key_staff_sign_in_again(
    redis_url: str, redis: Redis, acme: OpenIDServer, carol: Browser
) -> None:
    async with signing_on(redis_url, redis, acme, encryption_keys=(OTHER_KEY,)) as other:
        assert await is_asked_to_sign_in(await moved(carol, other))


async def test_no_other_provider_ever_gets_the_token(
    redis_url: str, redis: Redis, place: Place, carol: Browser
) -> None:
    other = OpenIDServer(issuer="https://login.other")
    async with signing_on(redis_url, redis, other, oidc_issuer=other.issuer) as later:
        assert await is_asked_to_sign_in(await moved(carol, later))
    assert other.calls[USERINFO] == 0


async def test_without_sign_on_nobody_is_staff_by_it(
    redis_url: str, redis: Redis, acme: OpenIDServer, carol: Browser
) -> None:
    changes = {"oidc_issuer": "", "oidc_client_id": "", "oidc_client_secret": ""}
    async with signing_on(redis_url, redis, acme, **changes) as later:
        assert (await (await moved(carol, later)).get("/support")).status_code == 404


async def test_a_provider_that_has_no_userinfo_any_more_is_asked_to_sign_in_at_again(
    redis_url: str, redis: Redis, acme: OpenIDServer, carol: Browser
) -> None:
    acme.document["userinfo_endpoint"] = None
    async with signing_on(redis_url, redis, acme) as later:
        same = await moved(carol, later)
        assert await is_asked_to_sign_in(same)
        await sign_in(same, acme)
        assert (await same.get("/support")).status_code == 200


async def test_the_token_is_written_down_nowhere(
    place: Place,
    acme: OpenIDServer,
    carol: Browser,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level("DEBUG")

    def echoed(request: Recorded) -> Answer:
        said = str(request.headers)
        return json_answer({"error": said, "sub": said, "groups": said}, 500)

    secrets = {value for value in acme.issued if value.startswith("access-")}
    secrets.add(await sealed_in(place, carol))
    answers: list[httpx.Response] = []
    told: list[Scripted] = [*OVER, *TROUBLE, JWT, echoed, json_answer({"sub": "x"})]
    for acme.answers[USERINFO] in told:
        answers.append(await carol.get("/support"))
        answers.append(await carol.get("/signin?next=/support"))
        answers.append(await carol.get("/support", htmx=True))
    ours = [r.getMessage() for r in caplog.records if r.name != "httpx"]
    written = "".join([*ours, *capfd.readouterr(), *(a.text + str(a.headers) for a in answers)])
    assert len(secrets) == 2
    assert not [secret for secret in secrets if secret in written]


# Signing in


@pytest.mark.parametrize("groups", ["support", ["payroll", "support"]])
async def test_the_group_may_stand_at_userinfo_alone(
    place: Place, acme: OpenIDServer, groups: object
) -> None:
    acme.claims, acme.userinfo = {"groups": None}, {"groups": groups}
    browser = await place.browser()
    assert (await sign_in(browser, acme)).status_code == 303
    (session,) = await sessions(place.redis)
    assert json.loads(session[b"groups"]) == ["support"]
    assert (await browser.get("/support")).status_code == 200


async def test_the_group_may_lie_deeper_there_too(
    redis_url: str, redis: Redis, acme: OpenIDServer
) -> None:
    acme.claims, acme.userinfo = {"groups": None}, {"realm_access": {"roles": ["support"]}}
    changes = {"oidc_support_claim": "realm_access.roles"}
    async with signing_on(redis_url, redis, acme, **changes) as place:
        browser = await place.browser()
        await sign_in(browser, acme)
        assert (await browser.get("/support")).status_code == 200
        acme.userinfo = {}
        assert (await browser.get("/support")).status_code == 404


SILENT_ABOUT_GROUPS: list[Any] = [
    None,
    *OVER,
    JWT,
    *(json_answer({"sub": "carol", "groups": groups}) for groups in (None, "")),
    json_answer({"sub": "carol"}),
]


@pytest.mark.parametrize("answer", SILENT_ABOUT_GROUPS)
async def test_the_id_token_alone_will_do_and_is_believed_for_its_half_hour(
    place: Place, acme: OpenIDServer, answer: Answer | None
) -> None:
    if answer is None:
        acme.document["userinfo_endpoint"] = None
    else:
        acme.answers[USERINFO] = answer
    browser = await place.browser()
    assert (await sign_in(browser, acme)).status_code == 303
    assert not await sealed_in(place, browser)
    asked = acme.calls[USERINFO]
    acme.userinfo = {"groups": []}
    assert (await browser.get("/support")).status_code == 200
    assert acme.calls[USERINFO] == asked


@pytest.mark.parametrize("groups", [[], 5, {}, "supporters", ["payroll"], [["support"]]])
async def test_what_userinfo_names_counts_and_no_older_id_token(
    place: Place, acme: OpenIDServer, carol: Browser, groups: object
) -> None:
    acme.userinfo = {"groups": groups}
    assert (await carol.get("/support")).status_code == 404
    answer = await sign_in(carol, acme)
    assert (answer.status_code, heading(answer.text)) == (403, REFUSED)
    assert (await carol.get("/support")).status_code == 404


@pytest.mark.parametrize("answer", TROUBLE)
async def test_its_trouble_lets_nobody_in_whatever_the_id_token_says(
    place: Place, acme: OpenIDServer, answer: Answer
) -> None:
    acme.answers[USERINFO] = answer
    assert await is_refused(await sign_in(await place.browser(), acme), place, AWAY, 503)


async def test_who_stands_in_the_settings_leaves_no_token_and_no_group(
    redis_url: str, redis: Redis, acme: OpenIDServer
) -> None:
    async with signing_on(redis_url, redis, acme, support_users=frozenset({"carol"})) as place:
        browser = await place.browser()
        await sign_in(browser, acme)
        assert not await sealed_in(place, browser)
    async with signing_on(redis_url, redis, acme) as later:
        assert (await (await moved(browser, later)).get("/support")).status_code == 404


@pytest.mark.parametrize("subject", ["mallory", "Carol", "", 5, None])
async def test_an_answer_about_somebody_else_signs_nobody_in(
    place: Place, acme: OpenIDServer, subject: object
) -> None:
    acme.answers[USERINFO] = json_answer({"sub": subject, "groups": ["support"]})
    answer = await sign_in(await place.browser(), acme)
    assert await is_refused(answer, place)
    assert await reason(answer, place) == "userinfo_sub"


@pytest.mark.parametrize("answer", TROUBLE)
async def test_where_the_role_could_stand_at_userinfo_alone_its_trouble_is_called_so(
    place: Place, acme: OpenIDServer, answer: Answer
) -> None:
    acme.claims, acme.answers[USERINFO] = {"groups": None}, answer
    assert await is_refused(await sign_in(await place.browser(), acme), place, AWAY, 503)


@pytest.mark.parametrize("answer", [*OVER, JWT, json_answer({"sub": "carol"})])
async def test_where_it_says_nothing_the_id_token_decides(
    place: Place, acme: OpenIDServer, answer: Answer
) -> None:
    acme.claims, acme.answers[USERINFO] = {"groups": None}, answer
    assert await is_refused(await sign_in(await place.browser(), acme), place, REFUSED, 403)


async def test_without_a_group_in_the_settings_userinfo_is_never_asked(
    redis_url: str, redis: Redis, acme: OpenIDServer
) -> None:
    changes = {"support_users": frozenset({"carol"}), "support_group": ""}
    async with signing_on(redis_url, redis, acme, **changes) as place:
        browser = await place.browser()
        await sign_in(browser, acme)
        assert (await browser.get("/support")).status_code == 200
    assert acme.calls[USERINFO] == 0


@pytest.mark.parametrize("answer", [*OVER, *TROUBLE, JWT])
async def test_peoples_own_pages_need_nothing_of_it(
    redis_url: str, redis: Redis, acme: OpenIDServer, answer: Answer
) -> None:
    async with signing_on(redis_url, redis, acme, oidc_people="everybody") as place:
        staff = await place.browser()
        await sign_in(staff, acme)
        acme.answers[USERINFO] = answer
        assert (await staff.get("/support")).status_code in (303, 503)
        asked = acme.calls[USERINFO]
        assert (await staff.get("/connections")).status_code == 200
        assert acme.calls[USERINFO] == asked
        acme.claims = {"sub": "ann", "groups": None}
        ann = await place.browser()
        assert (await sign_in(ann, acme, "/connections")).status_code == 303
        assert (await ann.get("/connections")).status_code == 200
        assert (await ann.get("/support")).status_code == 404


async def test_many_requests_at_once_are_each_answered_as_of_now(
    acme: OpenIDServer, carol: Browser
) -> None:
    acme.userinfo = {"groups": []}
    answers = await asyncio.gather(*(carol.get("/support") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {404}
    assert acme.calls[USERINFO] == 11


async def test_a_redirect_takes_no_token_along(
    place: Place, acme: OpenIDServer, carol: Browser
) -> None:
    acme.answers[USERINFO] = redirect(f"{ISSUER}/elsewhere", 307)
    await carol.get("/support")
    await carol.get(acme.authorize(await begin(carol)))
    assert acme.calls["/elsewhere"] == 0
