"""The whole life with providers made of a name, an id and a secret, at strict vendors.

The vendors are written from their own documents (:mod:`tests.kit.vendors`).  Of those in the
catalogue no address and no habit is configured; the others are set up by settings alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from tests.kit.every import every
from tests.kit.library import BASE_URL, KEY
from tests.kit.site_fixtures import SESSION_SECRET, Browser, Place, card_state, site_at
from tests.kit.vendors import VENDORS
from tests.kit.vendors.server import Vendor
from webui.oauth_manager.providers import entry
from webui.settings.settings import load_settings

ID, SECRET = "an-id", "s3cret_of.a-client~1"
SITE = {
    "BASE_URL": BASE_URL,
    "REDIS_URL": "redis://redis.example/0",
    "ENCRYPTION_KEY": KEY,
    "SESSION_SECRET": SESSION_SECRET,
}


@pytest.fixture(params=VENDORS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def vendor_of(name: str) -> Vendor:
    return Vendor(VENDORS[name], ID, SECRET, f"{BASE_URL}/oauth/{name}/callback")


@pytest.fixture
def vendor(name: str) -> Vendor:
    return vendor_of(name)


@asynccontextmanager
async def at(
    redis_url: str, redis: Redis, vendor: Vendor, name: str, **more: str
) -> AsyncIterator[tuple[Place, Browser]]:
    """The site with that one provider, as the environment tells it, and ann's browser."""
    await redis.flushall()  # of the one before
    typed = {**vendor.rules.settings, "CLIENT_ID": ID, "CLIENT_SECRET": SECRET, **more}
    environ = {f"{name}_{key}".upper(): value for key, value in typed.items()}
    config = load_settings({**SITE, **environ, "EXTRA_PROVIDERS": name}).providers_config
    async with site_at(redis_url, redis, provider_app=vendor, providers_config=config) as place:
        yield place, await place.signed_in("ann")


async def connect(ann: Browser, vendor: Vendor, name: str) -> str:
    """The whole way from the button to the page after it."""
    await ann.get(vendor.allow(await ann.begin(name)))
    return (await ann.get("/connections")).text


def test_the_file_says_what_no_document_settles(vendor: Vendor, name: str) -> None:
    found = entry(name)
    assert (found is None) is bool(vendor.rules.settings)
    if found is None:
        return
    assert set(vendor.rules.doubted) <= set(found.facts.get("unconfirmed", ()))
    assert found.facts["checked"] >= vendor.rules.checked


@pytest.mark.anyio
async def test_a_whole_life_goes_as_the_vendors_documents_say(
    redis_url: str, redis: Redis, vendor: Vendor, name: str
) -> None:
    rules = vendor.rules
    async with at(redis_url, redis, vendor, name) as (place, ann):
        page = await connect(ann, vendor, name)
        assert (vendor.faults, card_state(page, name)) == ([], rules.stands)
        assert rules.profile.name in page
        first = await place.bot.get_token("ann", name, place.redis)
        assert first
        assert vendor.is_alive(first)

        # renewed in time
        if rules.lifetime:
            place.clock.advance(rules.lifetime)
            vendor.expire()
            ann = await place.signed_in("ann")  # her session may be over too
            second = await place.bot.get_token("ann", name, place.redis)
            assert second not in (None, first)
            assert vendor.is_alive(str(second))

        # taken early: the clock says nothing, the vendor does
        vendor.expire()
        await check_twice(place, ann, name)
        third = await place.bot.get_token("ann", name, place.redis)
        assert await ann.state_of(name) == (rules.stands if rules.renews else "reconnect")
        assert vendor.is_alive(str(third)) is rules.renews

        # the person removes the application there
        vendor.withdraw()
        await check_twice(place, ann, name)
        assert await ann.state_of(name) == "reconnect"
        assert await place.bot.get_token("ann", name, place.redis) is None
        assert card_state(await connect(ann, vendor, name), name) == rules.stands

        await ends_truthfully(place, ann, vendor, name)
    assert vendor.faults == []


async def check_twice(place: Place, ann: Browser, name: str) -> None:
    """Where nothing can be renewed, one refusal alone is no verdict."""
    for _ in range(2):
        await ann.post(f"/connections/{name}/check")
        await place.settled()
        place.clock.advance(61)


async def ends_truthfully(place: Place, ann: Browser, vendor: Vendor, name: str) -> None:
    """She disconnects, and reads what became of it at the vendor."""
    rules = vendor.rules
    provider = place.site.manager.providers[name]
    assert provider.can_revoke is (rules.revocation is not None)
    question = (await ann.get(f"/connections/{name}/disconnect")).text
    token = await place.bot.get_token("ann", name, place.redis)
    assert token
    answer = await ann.post(f"/connections/{name}/disconnect")
    await place.settled()
    page = (await ann.get("/connections")).text
    state = "disconnected" if rules.revocation else "own_list"
    assert (answer.status_code, card_state(page, name)) == (303, state)
    if rules.revocation:
        assert vendor.calls[-1] == "revoke"
        assert not vendor.is_alive(token)
        if rules.revocation.ends == "grant":
            assert vendor.grants == 0
    else:
        assert provider.own_manage_url in question + page
        assert vendor.is_alive(token)
    assert await place.bot.get_token("ann", name, place.redis) is None


@pytest.mark.anyio
async def test_what_the_vendor_refuses_is_told_to_the_one_who_can_act(
    redis_url: str, redis: Redis, vendor: Vendor, name: str
) -> None:
    told = {}
    async with at(redis_url, redis, vendor, name) as (_, ann):
        address = vendor.allow(await ann.begin(name))
        vendor.spend_codes()
        await ann.get(address)
        told["code"] = await ann.state_of(name)

        address = vendor.allow(await ann.begin(name))
        vendor.redirect_uri = "https://elsewhere.example/callback"
        await ann.get(address)
        told["redirect"] = await ann.state_of(name)
        vendor.redirect_uri = f"{BASE_URL}/oauth/{name}/callback"

        vendor.client_secret = "another"
        told["client"] = card_state(await connect(ann, vendor, name), name)
    assert (told, vendor.faults) == (vendor.rules.means, [])


@pytest.mark.anyio
@every(
    ("name", "setting", "value"),
    [
        ("strava", "SCOPE_SEPARATOR", "space"),
        ("slack", "PKCE", "on"),
        ("notion", "TOKEN_BODY", "form"),
        ("notion", "HEADERS", "X-Other: 1"),
        ("atlassian", "AUTHORIZE_PARAMS", "prompt=consent"),
        ("atlassian", "SCOPES", "read:me"),
        ("spotify", "CLIENT_AUTH", "post"),
        ("x", "PKCE", "off"),
        ("dropbox", "ACCOUNT_BODY", "{}"),
        ("dropbox", "AUTHORIZE_PARAMS", "a=b"),
        ("twitch", "TOKEN_HEADER", "Authorization: Bearer {access_token}"),
        ("salesforce", "SCOPES", "openid api"),
        ("linear", "ACCOUNT_METHOD", "GET"),
        ("monday", "PKCE", "off"),
        ("monday", "TOKEN_BODY", "form"),
    ],
)
async def test_a_habit_that_is_not_the_vendors_is_noticed_there(
    redis_url: str, redis: Redis, name: str, setting: str, value: str
) -> None:
    vendor = vendor_of(name)
    async with at(redis_url, redis, vendor, name, **{setting: value}) as (_, ann):
        page = await connect(ann, vendor, name)
        shown = vendor.rules.profile.name in page
        assert vendor.faults or card_state(page, name) != "connected" or not shown


@pytest.mark.anyio
@every(
    ("name", "setting", "value"),
    [
        ("miro", "REVOKE_CLIENT_FIELDS", "client_id client_secret"),
        ("miro", "REVOKE_BODY", "form"),
        ("miro", "REVOKE_BODY", "query"),
        ("miro", "REVOKE_FIELD", "token"),
        ("miro", "REVOKE_AUTH", "none"),
        ("miro", "REVOKE_AUTH", "basic"),
        ("miro", "REVOKE_TOKEN", "refresh"),
        ("monday", "REVOKE_BODY", "form"),
        ("facebook", "REVOKE_METHOD", "POST"),
        ("quickbooks", "REVOKE_BODY", "form"),
        ("yahoo", "REVOKE_AUTH", "post"),
    ],
)
async def test_another_way_to_end_access_is_noticed_and_ends_nothing(
    redis_url: str, redis: Redis, name: str, setting: str, value: str
) -> None:
    vendor = vendor_of(name)
    async with at(redis_url, redis, vendor, name, **{setting: value}) as (place, ann):
        await connect(ann, vendor, name)
        assert (vendor.faults, vendor.grants) == ([], 1)
        await ann.post(f"/connections/{name}/disconnect")
        await place.settled()
        page = (await ann.get("/connections")).text
    assert vendor.faults or card_state(page, name) != "disconnected"
    assert vendor.grants == 1
