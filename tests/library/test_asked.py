"""Values asked of the person before an address is built: shop, subdomain, region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.clock import FakeClock
from tests.kit.every import every
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import BASE_URL, KEY, age, callback_query, impatient
from webui.oauth_manager import (
    Connection,
    Health,
    HostRefused,
    OAuthManager,
    OAuthNotConnected,
    OAuthProvider,
    Profile,
    RevokeOutcome,
    Status,
    SwitchOffer,
    ValueNeeded,
    oauth_client,
    replace_oauth_manager,
)
from webui.oauth_manager.client.guard import ApiHosts
from webui.oauth_manager.protocol.transport import Transport
from webui.oauth_manager.providers import FaultyFile, addresses, build_providers, read

pytestmark = pytest.mark.anyio

NAME = "acme"
ASK = {"shop": {"label": "Your shop", "pattern": "[a-z][a-z0-9-]{0,20}", "example": "one"}}
REGIONS = {
    "region": {
        "label": "Region",
        "choices": {"us": "America", "eu": "Europe"},
        "fills": {"us": "", "eu": "eu."},
    }
}


def config(**more: Any) -> dict[str, Any]:
    at = "https://{shop}.shops.example"
    return {
        "authorize_url": f"{at}/authorize",
        "token_url": f"{at}/token",
        "revoke_url": f"{at}/revoke",
        "account_url": f"{at}/account",
        "api_hosts": ["{shop}.shops.example"],
        "ask": ASK,
        "client_id": "client",
        "client_secret": "client-secret",
        **more,
    }


def provider(**more: Any) -> OAuthProvider:
    return build_providers({}, {NAME: config(**more)})[NAME]


def at(shop: str) -> str:
    return addresses.filled(provider(), {"shop": shop}).token_url


@pytest.fixture
def fake() -> FakeProvider:
    return FakeProvider()


def manager_of(fake: FakeProvider, **more: Any) -> OAuthManager:
    transport = Transport(httpx.ASGITransport(fake))
    made = OAuthManager(
        KEY, BASE_URL, {NAME: config(**more)}, transport=transport, clock=FakeClock()
    )
    return impatient(made)


@pytest.fixture
def manager(fake: FakeProvider) -> OAuthManager:
    return manager_of(fake)


async def connect(
    manager: OAuthManager, fake: FakeProvider, redis: Redis, shop: str
) -> Connection | SwitchOffer | None:
    url = await manager.begin(redis, "ann", NAME, browser="b", asked={"shop": shop})
    assert url.startswith(f"https://{shop}.shops.example/authorize?")
    query = callback_query(fake.authorize(url))
    attempt = await manager.links.take_attempt(redis, query["state"], "b")
    assert attempt
    return await manager.complete(redis, attempt, query["code"])


def hosts(fake: FakeProvider) -> set[str]:
    return {request.headers["host"] for request in fake.requests}


class TestValue:
    @pytest.mark.parametrize(
        "typed",
        ["one", " ONE ", "one.shops.example", "https://one.shops.example/admin?x=1"],
    )
    def test_is_taken_however_it_is_pasted(self, typed: str) -> None:
        assert at(typed) == "https://one.shops.example/token"

    @every(
        "typed",
        [
            "",
            " ",
            "evil.example",
            "evil.example/",
            "https://evil.example/.shops.example",
            "https://one.shops.example@evil.example",
            "one.shops.example.evil.example",
            "a.b",
            "a/b",
            "a#b",
            "a?b",
            "a@b",
            "a:443",
            "a\\b",
            "a%2eb",
            "-one",
            "one-",
            "one\n",
            "one\x00",
            "\u043ene",
            "one\u3002evil",
            "1one",
            "a" * 64,
            "a" * 100_000,
            "{shop}",
            "one two",
        ],
    )
    def test_is_one_label_by_the_providers_pattern_or_nothing_is_built(self, typed: str) -> None:
        if typed == "one\n":
            assert at(typed) == "https://one.shops.example/token"  # a pasted line end is a blank
            return
        with pytest.raises(ValueNeeded):
            at(typed)

    def test_of_a_list_is_one_of_the_list(self) -> None:
        fields = config(ask=REGIONS, api_hosts=[])
        for name in ("authorize_url", "token_url", "revoke_url", "account_url"):
            fields[name] = f"https://api.{{region}}shops.example/{name}"
        made = build_providers({}, {NAME: fields})[NAME]
        us, eu = (addresses.filled(made, {"region": name}).token_url for name in ("us", "EU"))
        assert us == "https://api.shops.example/token_url"
        assert eu == "https://api.eu.shops.example/token_url"
        for typed in ("", "evil.", "eu.", "au"):
            with pytest.raises(ValueNeeded):
                addresses.filled(made, {"region": typed})


class TestConnection:
    async def test_lives_its_whole_life_at_its_own_address(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        made = await connect(manager, fake, redis, "one")
        assert isinstance(made, Connection)
        assert made.asked == {"shop": "one"}
        await age(manager, redis, "ann", NAME)
        assert await manager.get_token("ann", NAME, redis)
        assert await manager.check(redis, "ann", NAME) is Health.WORKING
        assert (await manager.connection(redis, "ann", NAME)).asked == {"shop": "one"}
        ended = await manager.delete_token(redis, "ann", NAME)
        assert ended.at_provider is RevokeOutcome.REVOKED
        assert hosts(fake) == {"one.shops.example"}

    async def test_to_another_shop_with_an_account_of_the_same_id_is_another_account(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connect(manager, fake, redis, "one")
        offer = await connect(manager, fake, redis, "two")
        assert isinstance(offer, SwitchOffer)
        assert (await manager.connection(redis, "ann", NAME)).asked == {"shop": "one"}
        await manager.switch(redis, "ann", NAME, offer=offer.id, use_new=True)
        assert (await manager.connection(redis, "ann", NAME)).asked == {"shop": "two"}
        await manager.aclose()

    async def test_whose_address_is_no_more_is_reconnected_and_not_sent_elsewhere(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        await connect(manager, fake, redis, "one")
        await age(manager, redis, "ann", NAME)
        fake.requests.clear()
        elsewhere = {k: v.replace("shops", "stores") for k, v in config().items() if "_url" in k}
        after = manager_of(fake, **elsewhere)
        assert await after.get_token("ann", NAME, redis) is None
        connection = await after.connection(redis, "ann", NAME)
        assert connection.status is Status.RECONNECT_NEEDED
        assert not fake.requests

    async def test_begins_with_the_value_or_not_at_all(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        with pytest.raises(ValueNeeded):
            await manager.begin(redis, "ann", NAME, browser="b")
        with pytest.raises(ValueNeeded):
            manager.get_authorize_url(NAME, "s" * 43)
        assert await redis.keys("stargazer:oauth_state:*") == []
        url = manager.get_authorize_url(NAME, "s" * 43, asked={"shop": "one"})
        assert url.startswith("https://one.shops.example/authorize?")

    async def test_from_chat_begins_on_our_page_which_asks(
        self, manager: OAuthManager, redis: Redis
    ) -> None:
        url = await manager.generate_connect_url("ann", NAME, redis)
        assert url.startswith(f"{BASE_URL}/connect/")

    async def test_by_a_link_may_bring_its_value(self, manager: OAuthManager, redis: Redis) -> None:
        code = await manager.create_link_code(redis, "ann", provider=NAME, asked={"shop": "one"})
        found = await manager.links.peek(redis, code)
        assert found
        assert found[0].asked == ("shop=one",)
        with pytest.raises(ValueNeeded):
            await manager.create_link_code(redis, "ann", provider=NAME, asked={"shop": "a.b"})

    async def test_of_a_host_that_the_operator_names_asks_nobody(
        self, fake: FakeProvider, redis: Redis
    ) -> None:
        manager = manager_of(fake, host="one.shops.example")
        assert manager.providers[NAME].ask == ()
        url = manager.get_authorize_url(NAME, "s" * 43)
        assert url.startswith("https://one.shops.example/authorize?")
        with pytest.raises(ValueError, match="what people would answer"):
            manager_of(fake, host="one.evil.example")


class TestFile:
    GOOD = """\
authorize_url = "https://{shop}.shops.example/a"
token_url = "https://{shop}.shops.example/t"
[ask.shop]
label = "Your shop"
pattern = "[a-z]+"
example = "one"
[scopes]
"""

    def test_that_is_right_is_read(self) -> None:
        (asked,) = read(NAME, self.GOOD).fields["ask"]
        assert (asked.name, asked.label, asked.example) == ("shop", "Your shop", "one")

    @pytest.mark.parametrize(
        ("before", "after", "line", "said"),
        [
            ("{shop}.shops.example/t", "{shop}.example/t", 2, "as one label"),
            ("{shop}.shops.example/t", "{shop}shops.example/t", 2, "as one label"),
            ("{shop}.shops.example/t", "api.{shop}.shops.example/t", 2, "as one label"),
            ("{shop}.shops.example/t", "shops.example/{shop}", 2, "asked of nobody"),
            ("{shop}.shops.example/t", "{store}.shops.example/t", 2, "asked of nobody"),
            ('pattern = "[a-z]+"', 'pattern = "[a-z"', 3, "no regular expression"),
            ('pattern = "[a-z]+"', "", 3, "either a pattern or choices"),
            ('pattern = "[a-z]+"', f'pattern = "a{{{"9" * 30}}}"', 3, "no regular expression"),
            ('pattern = "[a-z]+"', 'pattern = "a*b+a?b{1,}a*"', 3, "more than 4 of *, +, ? and {"),
            ('example = "one"', 'example = "1"', 3, "an example that its pattern takes"),
            ('"[a-z]+"\nexample = "one"', '"[A-Z]+"\nexample = "ONE"', 3, "a to z, 0 to 9 and -"),
            ('label = "Your shop"', "", 3, "needs label"),
            ("[ask.shop]", "[ask.host]", 3, "a name in use"),
            ("[ask.shop]", 'host = "1.shops.example"\n[ask.shop]', 3, "what people would answer"),
            ("[ask.shop]", '[ask.shop]\nfills = { us = "" }', 3, "no choice"),
        ],
    )
    def test_that_is_wrong_is_told_with_its_line(
        self, before: str, after: str, line: int, said: str
    ) -> None:
        with pytest.raises(FaultyFile) as caught:
            read(NAME, self.GOOD.replace(before, after))
        assert (line, True) in {(fault.line, said in fault.text) for fault in caught.value.faults}


async def test_a_client_follows_the_connection_and_takes_no_token_to_the_shop_before(
    manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    @dataclass
    class Ctx:
        redis: Any
        user_id: str = "ann"

    before = replace_oauth_manager(manager)
    try:
        async with oauth_client(Ctx(redis), NAME) as http:
            with pytest.raises(OAuthNotConnected):
                await http.get("https://one.shops.example/account")
            for shop, other in (("one", "two"), ("two", "one")):
                await connect(manager, fake, redis, shop)
                answer = await http.get(f"https://{shop}.shops.example/account")
                assert answer.status_code == 200
                with pytest.raises(HostRefused):
                    await http.get(f"https://{other}.shops.example/account")
                await manager.delete_token(redis, "ann", NAME)
    finally:
        replace_oauth_manager(before)


async def test_no_value_of_a_callback_names_a_host_for_tokens(redis: Redis) -> None:
    found = provider(api_hosts=["{domain}"], keep=["callback.domain", "shop_url"])
    known = Profile(kept=("domain=evil.example",), asked=("shop=one",))
    hosts_of = ApiHosts(found)
    hosts_of.settle(Connection(NAME, Status.CONNECTED, profile=known))
    assert not hosts_of.has(httpx.URL("https://evil.example/"))
