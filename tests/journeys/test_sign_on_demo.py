"""Sign-on as somebody tries it in the demo: Carol is support staff, Dave is not."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.journey import Journey, demo
from tests.kit.site_fixtures import handed_off, heading
from webui.text import words

pytestmark = pytest.mark.anyio


@pytest.fixture
async def journey(redis: Redis, redis_url: str) -> AsyncIterator[Journey]:
    async with demo(redis_url, token_lifetime=3600) as started:
        yield started


async def begin(journey: Journey) -> str:
    """Press the button for staff on the sign-in page: where it leads."""
    page = await journey.browser.get(f"{journey.site}/signin?next=/support")
    assert words.text("signin.lede_support") in page.text
    assert 'action="/signin/sso"' in page.text
    return handed_off(await journey.post(f"{journey.site}/signin/sso", {"next": "/support"}))


async def choose(journey: Journey, person: str) -> httpx.Response:
    """Go from the button over the stand-in to the page at its end."""
    asked = await journey.browser.get(await begin(journey))
    assert heading(asked.text) == "Who is it?"
    found = re.search(r'action="([^"]+)"', asked.text)
    assert found
    chosen = await journey.post(journey.sandbox + html.unescape(found[1]), {"person": person})
    assert chosen.status_code == 303
    return await journey.browser.get(chosen.headers["location"], follow_redirects=True)


async def test_carol_sees_how_alice_stands_and_alice_sees_that_somebody_looked(
    journey: Journey,
) -> None:
    await journey.connect("github")
    landed = await choose(journey, "carol")
    assert (str(landed.url), landed.status_code) == (f"{journey.site}/support", 200)
    form = {"q": "alice", "reason": "ticket 4411"}
    search = f"{journey.site}/support"
    person = await journey.browser.get(search, params=form, follow_redirects=True)
    assert str(person.url) == f"{journey.site}/support/people/alice?reason=ticket+4411"
    assert "GitHub" in person.text
    activity = await journey.browser.get(f"{journey.site}/activity")
    assert words.text("activity.event.support_viewed") in activity.text


async def test_taking_the_role_from_carol_shuts_the_support_pages_at_once(
    journey: Journey,
) -> None:
    await choose(journey, "carol")
    roles = f"{journey.sandbox}/signon/people"
    for button, status in (("Take the role from Carol", 404), ("Give Carol the role back", 200)):
        shown = await journey.browser.get(roles)
        assert f">{button}</button>" in shown.text
        assert (await journey.post(roles)).headers["location"] == "/signon/people"
        assert (await journey.browser.get(f"{journey.site}/support")).status_code == status


async def test_dave_does_not_get_in(journey: Journey) -> None:
    landed = await choose(journey, "dave")
    assert landed.status_code == 403
    assert heading(landed.text) == words.text("error.signon_refused.title")
    support = await journey.browser.get(f"{journey.site}/support")
    assert support.headers["location"] == "/signin?next=/support"


async def test_whoever_changes_their_mind_is_not_signed_in(journey: Journey) -> None:
    landed = await choose(journey, "")
    assert heading(landed.text) == words.text("error.signon.title")


async def test_signing_out_goes_over_the_stand_in_and_back(journey: Journey) -> None:
    landed = await choose(journey, "carol")
    out = await journey.press(landed, "sign-out")
    back = await journey.browser.get(handed_off(out), follow_redirects=True)
    assert back.url == f"{journey.site}/signed-out"
    support = await journey.browser.get(f"{journey.site}/support")
    assert support.headers["location"] == "/signin?next=/support"


async def test_the_stand_in_checks_what_a_real_one_checks(journey: Journey) -> None:
    url = httpx.URL(await begin(journey))
    for change in ({"client_id": "x"}, {"redirect_uri": "https://evil.example/"}):
        assert (await journey.browser.get(url.copy_merge_params(change))).status_code == 400
    for name, value in (
        ("code_challenge_method", "plain"),
        ("response_type", "token"),
        ("scope", "profile"),
        ("prompt", "none"),
    ):
        refused = await journey.browser.get(url.copy_set_param(name, value))
        assert refused.status_code == 303
        assert "error=" in refused.headers["location"]
        assert refused.headers["location"].startswith(f"{journey.site}/signin/sso/callback?")
    for token in ("", "Bearer x", "Basic x"):
        headers = {"Authorization": token}
        told = await journey.browser.get(f"{journey.sandbox}/signon/userinfo", headers=headers)
        assert told.status_code == 401
    away = {"Sec-Fetch-Site": "cross-site"}
    roles = f"{journey.sandbox}/signon/people"
    assert (await journey.browser.post(roles, headers=away)).status_code == 400
    token = f"{journey.sandbox}/signon/token"
    assert (await journey.browser.post(token, data={"code": "x"})).status_code == 401
    other = {"client_id": url.params["client_id"], "post_logout_redirect_uri": "https://evil.x/"}
    leaving = f"{journey.sandbox}/signon/logout"
    assert (await journey.browser.get(leaving, params=other)).status_code == 400
