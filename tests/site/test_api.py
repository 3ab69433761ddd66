"""The HTTP API: tokens, links, proofs and connections for bots that hold a service key."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from starlette.requests import Request

from tests.kit.account_provider import AccountProvider, added
from tests.kit.api_caller import Caller, caller, keys_of, new_key
from tests.kit.every import every
from tests.kit.fake_answers import Answer
from tests.kit.library import ACCOUNTS, age, connected, dumped, granted, opened, revoke_key
from tests.kit.site_fixtures import (
    Place,
    free_port,
    is_signed_in,
    serving,
    shown_code,
    site_at,
    site_environment,
)
from webui.api.call import Call
from webui.api.service_keys import ServiceKey
from webui.cli import main
from webui.oauth_manager import AuditRecord, StoreUnavailable
from webui.oauth_manager.storage.keys import DUE

pytestmark = pytest.mark.anyio

PROBLEM = "application/problem+json"


def is_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The members of a problem, which is nothing else."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM), answer.text
    found = answer.json()
    assert (found["status"], found["code"]) == (status, code)
    assert found["title"]
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers
    return dict(found)


async def audited(place: Place) -> list[AuditRecord]:
    return [record async for record in place.bot.audit.read(place.redis, 0)]


@pytest.fixture
async def bot(place: Place) -> Caller:
    """A bot whose key may do everything."""
    return await caller(place)


@pytest.fixture
async def linked(place: Place) -> None:
    """ann has connected Google."""
    place.fake.account = ACCOUNTS["google"]
    await connected(place.bot, place.fake, place.redis, "ann", "google")


class TestToken:
    async def test_a_token_comes_with_what_is_known_of_it(
        self, place: Place, bot: Caller, linked: None
    ) -> None:
        held = await opened(place.bot, place.redis, "ann")
        assert held
        answer = await bot.token()
        assert answer.status_code == 200
        assert answer.json() == {
            "access_token": held.access_token,
            "token_type": "Bearer",
            "expires_at": held.expires_at,
            "scopes": held.scopes,
            "account": "42",
            "extra": {},
        }
        assert answer.headers["cache-control"] == "no-store"
        assert "set-cookie" not in answer.headers

    async def test_a_token_that_is_over_is_renewed_first(
        self, place: Place, bot: Caller, linked: None
    ) -> None:
        await age(place.bot, place.redis, "ann", "google")
        answer = await bot.token()
        held = await opened(place.bot, place.redis, "ann")
        assert held
        assert answer.json()["access_token"] == held.access_token
        assert place.fake.calls["refresh"] == 1

    async def test_a_refused_token_is_replaced_once_for_all_who_were_refused(
        self, place: Place, bot: Caller, linked: None
    ) -> None:
        before = (await bot.token()).json()["access_token"]
        for _ in range(2):
            after = (await bot.token(refused=before)).json()["access_token"]
            assert after != before
        assert place.fake.calls["refresh"] == 1

    async def test_a_refused_token_without_end_is_judged_by_the_account_address(
        self, place: Place, bot: Caller
    ) -> None:
        place.fake.gives_refresh_token = False
        place.fake.expires_in = None
        await connected(place.bot, place.fake, place.redis, "ann", "github")
        token = (await bot.token(provider="github")).json()["access_token"]
        place.fake.calls.clear()
        again = await bot.token(provider="github", refused=token)
        assert again.json()["access_token"] == token
        assert place.fake.calls["account"] == 1
        place.fake._tokens.clear()
        await bot.token(provider="github", refused=token)
        place.clock.advance(61)
        over = await bot.token(provider="github", refused=token)
        assert is_problem(over, 409, "not_connected")["reason"] == "reconnect_needed"

    async def test_min_valid_renews_what_ends_before(
        self, place: Place, bot: Caller, linked: None
    ) -> None:
        before = (await bot.token()).json()["access_token"]
        place.clock.advance(3600 - 300)
        assert (await bot.token()).json()["access_token"] == before
        assert (await bot.token(min_valid=600)).json()["access_token"] != before

    async def test_who_is_not_connected_gets_a_link_of_ours(
        self, place: Place, bot: Caller
    ) -> None:
        found = is_problem(await bot.token(), 409, "not_connected")
        assert found["reason"] == "not_connected"
        assert found["missing_scopes"] == []
        assert found["connect_url"].startswith(f"{place.settings.base_url}/connect/")
        assert 590 <= found["expires_in"] <= 600

    async def test_a_link_that_is_open_is_given_again(self, place: Place, bot: Caller) -> None:
        first = (await bot.token()).json()["connect_url"]
        assert (await bot.token()).json()["connect_url"] == first
        made = await bot.post("/links", user_id="ann", provider="google")
        assert made.json()["url"] == first
        wider = await bot.post("/links", user_id="ann", provider="google", scopes=["a", "b"])
        assert wider.json()["url"] != first
        for _ in range(2):
            again = await bot.post("/links", user_id="ann", provider="google", scopes=["b"])
            assert again.json()["url"] == wider.json()["url"]

    async def test_without_the_right_to_links_there_is_none(self, place: Place) -> None:
        found = is_problem(await (await caller(place, may=["token"])).token(), 409, "not_connected")
        assert "connect_url" not in found
        assert await place.redis.keys("stargazer:oauth_link:*") == []

    async def test_missing_permissions_are_named(
        self, place: Place, bot: Caller, linked: None
    ) -> None:
        found = is_problem(await bot.token(scopes=["calendar.read"]), 409, "not_connected")
        assert found["reason"] == "missing_scopes"
        assert found["missing_scopes"] == ["calendar.read"]
        assert "connect_url" in found

    async def test_a_service_in_trouble_is_no_end(
        self, place: Place, bot: Caller, linked: None
    ) -> None:
        await age(place.bot, place.redis, "ann", "google")
        place.fake.always["token"] = Answer(503)
        answer = await bot.token()
        is_problem(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1

    async def test_an_account_that_is_not_connected_has_no_token(
        self, place: Place, bot: Caller, linked: None
    ) -> None:
        assert (await bot.token(account="42")).status_code == 200
        assert is_problem(await bot.token(account="43"), 409, "not_connected")

    async def test_a_token_of_another_account_that_came_meanwhile_is_not_passed_off_as_the_first(
        self, place: Place, bot: Caller, linked: None
    ) -> None:
        await age(place.bot, place.redis, "ann", "google")
        gate = place.fake.gate("token")
        calls = asyncio.gather(bot.token(), bot.token(account="42"))
        await gate.reached()
        other = granted(place.fake, "google", expires_at=place.clock.now() + 3600)
        await place.bot.store_token(place.redis, "ann", other)
        gate.open()
        unnamed, named = await calls
        assert unnamed.json()["access_token"] == other.access_token
        assert unnamed.json()["account"] == ""
        is_problem(named, 409, "not_connected")

    async def test_a_persons_first_token_of_a_day_is_in_the_audit(
        self, place: Place, linked: None
    ) -> None:
        whole, key = await new_key(place)
        for _ in range(3):
            await Caller(place, whole).token()
        (record,) = await audited(place)
        assert (record.who, record.via) == (f"stargazer_{key.id} a bot", "api")
        assert (record.action, record.whom, record.provider) == ("token", "ann", "google")
        assert record.request_id
        place.clock.advance(86_400)
        await age(place.bot, place.redis, "ann", "google", place.clock.now() + 3600)
        await Caller(place, whole).token()
        assert len(await audited(place)) == 2

    async def test_a_token_that_cannot_be_written_down_is_not_given(
        self, place: Place, bot: Caller, linked: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(*_: object) -> None:
            raise StoreUnavailable("write an audit record")

        monkeypatch.setattr(place.site.manager.audit, "write", fail)
        answer = await bot.token()
        is_problem(answer, 503, "unavailable")
        held = await opened(place.bot, place.redis, "ann")
        assert held
        assert held.access_token not in answer.text


class TestSeveralAccounts:
    @pytest.fixture
    async def place(self, redis_url: str, redis: Any) -> AsyncIterator[Place]:
        async with site_at(redis_url, redis, AccountProvider()) as made:
            yield made

    @pytest.fixture
    async def two(self, place: Place) -> AccountProvider:
        """ann is connected to GitHub as mona, and as hubert, which she calls Work."""
        fake = place.fake
        assert isinstance(fake, AccountProvider)
        await added(place.bot, fake, place.redis, "mona", is_adding=False)
        await added(place.bot, fake, place.redis, "hubert", account="Work")
        return fake

    async def test_a_call_that_names_none_is_a_question(
        self, bot: Caller, two: AccountProvider
    ) -> None:
        for path in ("/token", "/links", "/connections/check", "/connections/disconnect"):
            answer = await bot.post(path, user_id="ann", provider="github")
            assert is_problem(answer, 409, "ambiguous_account")["accounts"] == ["mona", "work"]

    async def test_each_is_named_by_its_name_its_id_and_its_label(
        self, bot: Caller, two: AccountProvider
    ) -> None:
        rows = (await bot.get("/connections", user_id="ann")).json()["connections"]
        assert [(row["name"], row["label"]) for row in rows] == [
            ("mona", "mona"),
            ("Work", "hubert"),
        ]
        for row in rows:
            for name in {row["name"], row["name"].lower(), row["account"], row["label"]}:
                told = (await bot.token(provider="github", account=name)).json()
                assert two.whose(told["access_token"]) == row["label"]
                assert told["account"] == row["account"]
        nobody = await bot.token(provider="github", account="private")
        is_problem(nobody, 409, "not_connected")

    async def test_one_is_renewed_checked_and_ended_without_the_other(
        self, place: Place, bot: Caller, two: AccountProvider
    ) -> None:
        work = {"user_id": "ann", "provider": "github", "account": "work"}
        before = (await bot.post("/token", **work)).json()["access_token"]
        after = (await bot.post("/token", **work, refused=before)).json()["access_token"]
        assert two.whose(after) == "hubert"
        assert (await bot.post("/connections/check", **work)).json() == {"outcome": "working"}
        await bot.post("/connections/disconnect", **work)
        is_problem(await bot.post("/token", **work), 409, "not_connected")
        left = await bot.token(provider="github", account="mona")
        assert two.whose(left.json()["access_token"]) == "mona"


class TestKeys:
    """What opens the API, and what does not."""

    async def test_without_any_key_every_call_is_refused(self, place: Place) -> None:
        assert is_problem(await Caller(place, "").token(), 401, "invalid_key")

    async def test_unknown_revoked_and_ended_keys_look_alike(self, place: Place) -> None:
        revoked, known = await new_key(place)
        ended, _ = await new_key(place, ends_at=place.clock.now() + 60)
        for key in (revoked, ended):
            assert (await Caller(place, key).token()).status_code == 409
        assert await keys_of(place).revoke(place.redis, known.id)
        place.clock.advance(61)
        wrong = [revoked, ended, f"{revoked[:-1]}{'a' if revoked[-1] != 'a' else 'b'}"]
        wrong += [f"stargazer_{'a' * 10}_{'b' * 43}", "stargazer_x", "x" * 4000, ""]
        answers = [await Caller(place, key).token() for key in wrong for _ in range(2)]
        seen = {(a.status_code, a.content, tuple(sorted(a.headers.items()))) for a in answers}
        assert len(seen) == 1
        assert answers[0].headers["www-authenticate"] == "Bearer"

    async def test_a_revoked_key_tells_nothing_of_what_it_never_might(self, place: Place) -> None:
        here = {"networks": ("127.0.0.0/8",)}
        elsewhere = {"networks": ("203.0.113.0/24",)}
        for more in (here, elsewhere):
            key, known = await new_key(place, may=("links",), **more)
            bot = Caller(place, key)
            is_problem(await bot.token(), 403, "forbidden")
            assert await keys_of(place).revoke(place.redis, known.id)
            is_problem(await bot.token(), 401, "invalid_key")
            is_problem(
                await bot.post("/links", user_id="ann", provider="google"), 401, "invalid_key"
            )

    async def test_a_malformed_key_never_reaches_redis(self, place: Place) -> None:
        before = (await place.redis.info("stats"))["total_commands_processed"]
        for key in ("x", "stargazer_", f"stargazer_{'A' * 10}_{'b' * 43}", "stargazer_é_x"):
            answer = await place_call(place, f"Bearer {key}".encode())
            assert answer.status_code == 401
        assert (await place_call(place, b"Basic YTpi")).status_code == 401
        after = (await place.redis.info("stats"))["total_commands_processed"]
        assert after - before == 1

    async def test_an_address_with_many_wrong_keys_no_longer_reaches_redis(
        self, place: Place
    ) -> None:
        good, _ = await new_key(place)
        known = Caller(place, good)
        assert (await known.token()).status_code == 409
        wrong = Caller(place, f"stargazer_{'a' * 10}_{'b' * 43}")
        for _ in range(60):
            assert (await wrong.token()).status_code == 401
        before = (await place.redis.info("stats"))["total_commands_processed"]
        answer = await wrong.token()
        assert (await place.redis.info("stats"))["total_commands_processed"] - before == 1
        is_problem(answer, 429, "rate_limited")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert (await known.token()).status_code == 409  # a key that is known goes on
        elsewhere = Caller(place, f"stargazer_{'a' * 10}_{'b' * 43}", "198.51.100.1")
        assert (await elsewhere.token()).status_code == 401
        place.clock.advance(61)
        assert (await wrong.token()).status_code == 401

    async def test_a_key_may_do_only_what_it_was_made_for(self, place: Place, linked: None) -> None:
        token = await caller(place, may=["token"])
        for answer in (
            await token.post("/links", user_id="ann", provider="google"),
            await token.post("/proofs", user_id="ann", code="ABCDEF"),
            await token.get("/connections", user_id="ann"),
            await token.post("/connections/check", user_id="ann", provider="google"),
            await token.post("/connections/disconnect", user_id="ann", provider="google"),
        ):
            is_problem(answer, 403, "forbidden")
        others = await caller(place, may=["links", "proofs", "connections", "notices"])
        is_problem(await others.token(), 403, "forbidden")

    async def test_a_key_for_one_service_opens_no_other(self, place: Place, linked: None) -> None:
        bot = await caller(place, providers=("github",))
        is_problem(await bot.token(), 403, "forbidden")
        is_problem(await bot.token(provider="nothing"), 403, "forbidden")
        for path in ("/links", "/connections/check", "/connections/disconnect"):
            is_problem(await bot.post(path, user_id="ann", provider="google"), 403, "forbidden")
        assert (await bot.get("/connections", user_id="ann")).json() == {"connections": []}
        assert await opened(place.bot, place.redis, "ann")

    async def test_a_key_for_one_service_proves_nobody_for_another(self, place: Place) -> None:
        bot = await caller(place, providers=("github",))
        browser = await place.browser()
        link = await place.bot.create_link_code(place.redis, "ann", provider="google")
        await browser.post(f"/connect/{link}/start")
        code = shown_code(await browser.get("/connect/proof"))
        is_problem(await bot.post("/proofs", user_id="ann", code=code), 403, "forbidden")
        assert "Location" not in (await browser.post("/connect/proof/continue")).headers

    @every("allowed", {"its id": ("ann",), "the beginning of ids": ("an*",)})
    async def test_a_key_is_for_the_people_it_names(
        self, place: Place, allowed: tuple[str, ...]
    ) -> None:
        bot = await caller(place, users=allowed)
        is_problem(await bot.token("ann"), 409, "not_connected")
        is_problem(await bot.token("ben"), 403, "forbidden")

    async def test_a_key_is_used_from_the_networks_it_names(self, place: Place) -> None:
        whole, _ = await new_key(place, networks=("198.51.100.0/24",))
        assert (await Caller(place, whole, "198.51.100.9").token()).status_code == 409
        is_problem(await Caller(place, whole, "192.0.2.9").token(), 403, "forbidden")

    async def test_calls_beyond_the_rate_of_a_key_wait(self, place: Place) -> None:
        bot = await caller(place, tokens_a_minute=2, others_a_minute=1)
        for _ in range(2):
            assert (await bot.token()).status_code == 409
        answer = await bot.token()
        is_problem(answer, 429, "rate_limited")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert (await bot.get("/connections", user_id="ann")).status_code == 200
        is_problem(await bot.get("/connections", user_id="ann"), 429, "rate_limited")

    async def test_who_can_write_to_redis_cannot_make_a_key_or_widen_one(
        self, place: Place
    ) -> None:
        _, wide = await new_key(place)
        narrow, other = await new_key(place, may=["token"])
        held = await place.redis.hget("stargazer:api_keys", wide.id)
        await place.redis.hset("stargazer:api_keys", other.id, held or b"")
        is_problem(await Caller(place, narrow).token(), 401, "invalid_key")
        await place.redis.hset("stargazer:api_keys", other.id, json.dumps({"may": ["token"]}))
        is_problem(await Caller(place, narrow).token(), 401, "invalid_key")

    async def test_redis_holds_no_secret_of_a_key(self, place: Place, linked: None) -> None:
        whole, _ = await new_key(place)
        await Caller(place, whole).token()
        assert whole.rpartition("_")[2].encode() not in await dumped(place.redis)

    async def test_with_the_api_off_there_is_nothing(self, redis_url: str, redis: Any) -> None:
        async with site_at(redis_url, redis, api=False) as place:
            is_problem(await (await caller(place)).token(), 404, "not_found")

    async def test_the_sites_own_port_is_refused_for_it(self, redis_url: str, place: Place) -> None:
        port = str(free_port())
        base_url = f"http://127.0.0.1:{port}"
        environment = site_environment(base_url, redis_url, place.settings.providers_config)
        done = CliRunner().invoke(main, ["serve"], env={**environment, "API_PORT": port})
        assert done.exit_code == 1
        assert f"API_PORT is {port}, where the site listens." in done.output

    async def test_on_a_port_of_its_own_it_is_there_alone(
        self, redis_url: str, place: Place, tmp_path: Path, linked: None
    ) -> None:
        site_port, port = free_port(), free_port()
        environment = site_environment(
            f"http://127.0.0.1:{site_port}", redis_url, place.settings.providers_config
        )
        key, _ = await new_key(place)
        asked = {"user_id": "ann", "provider": "google"}
        with serving({**environment, "API_PORT": str(port)}, tmp_path, "--workers", "2") as site:
            site.wait_for("started")
            async with httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as client:
                own, public = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{site_port}"
                for host in (f"127.0.0.1:{port}", f"127.0.0.1:{site_port}", "api.internal"):
                    of = {"Host": host}
                    answer = await client.post(f"{own}/api/v1/token", json=asked, headers=of)
                    assert answer.status_code == 200, answer.text
                    is_problem(await client.get(f"{own}/connections", headers=of), 404, "not_found")
                    elsewhere = await client.get(f"{public}/api/v1/openapi.json", headers=of)
                    assert elsewhere.status_code in (400, 404)
                    assert "paths" not in elsewhere.text
                described = (await client.get(f"{own}/api/v1/openapi.json")).json()
                assert described["servers"] == [{"url": "/api/v1"}]
                assert (await client.get(f"{public}/healthz")).status_code == 200


async def place_call(place: Place, authorization: bytes) -> httpx.Response:
    client = Caller(place, "").client
    body = {"user_id": "ann", "provider": "google"}
    headers: Any = [(b"authorization", authorization)]
    return await client.post("/token", json=body, headers=headers)


class TestRequests:
    @every(
        "body",
        {
            "no JSON": b"{",
            "a list": b"[]",
            "a number": b"1",
            "brackets without end": b"[" * 10_000,
            "a member twice": b'{"user_id":"a","user_id":"b","provider":"google"}',
            "NaN": b'{"user_id":"a","provider":"google","min_valid":NaN}',
            "an unknown member": b'{"user_id":"a","provider":"google","password":"x"}',
            "an unwritable member": b'{"user_id":"a","provider":"google","\\ud800":"x"}',
            "an unwritable id": b'{"user_id":"\\ud800","provider":"google"}',
            "no person": b'{"provider":"google"}',
            "a number for a person": b'{"user_id":1,"provider":"google"}',
            "an unknown service": b'{"user_id":"a","provider":"nothing"}',
            "a list for a service": b'{"user_id":"a","provider":["google"]}',
            "scopes of no list": b'{"user_id":"a","provider":"google","scopes":"a b"}',
            "a scope with a blank": b'{"user_id":"a","provider":"google","scopes":["a b"]}',
            "an endless life": b'{"user_id":"a","provider":"google","min_valid":1e300}',
            "a truth for seconds": b'{"user_id":"a","provider":"google","min_valid":true}',
            "a refused token of two lines": b'{"user_id":"a","provider":"google","refused":"a\\n"}',
        },
    )
    async def test_a_body_of_another_form_is_told_what_is_wrong(
        self, bot: Caller, body: bytes
    ) -> None:
        headers = {"content-type": "application/json"}
        is_problem(
            await bot.client.post("/token", content=body, headers=headers), 400, "invalid_request"
        )

    async def test_the_member_at_fault_is_named(self, bot: Caller) -> None:
        found = is_problem(await bot.token(min_valid=-1), 400, "invalid_request")
        assert found["member"] == "min_valid"

    async def test_a_large_body_is_refused(self, bot: Caller) -> None:
        answer = await bot.token(refused="x" * 16_384)
        is_problem(answer, 413, "too_large")

    async def test_a_form_is_no_json(self, bot: Caller) -> None:
        answer = await bot.client.post("/token", data={"user_id": "ann", "provider": "google"})
        is_problem(answer, 415, "unsupported_media_type")

    async def test_a_parameter_that_is_there_twice_is_refused(self, bot: Caller) -> None:
        answer = await bot.client.get("/connections?user_id=ann&user_id=ben")
        is_problem(answer, 400, "invalid_request")

    async def test_unknown_addresses_and_methods_are_problems_too(self, bot: Caller) -> None:
        is_problem(await bot.get("/nothing"), 404, "not_found")
        is_problem(await bot.client.get("/token"), 405, "method_not_allowed")
        is_problem(await bot.client.request("TRACE", "/token"), 405, "method_not_allowed")

    async def test_no_other_origin_may_read_an_answer(self, bot: Caller) -> None:
        headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
        for method in ("OPTIONS", "POST"):
            answer = await bot.client.request(method, "/token", headers=headers)
            assert not [name for name in answer.headers if name.startswith("access-control")]


class TestConnections:
    async def test_connections_are_listed_without_secrets(
        self, place: Place, bot: Caller, linked: None
    ) -> None:
        answer = await bot.get("/connections", user_id="ann")
        (found,) = answer.json()["connections"]
        assert (found["provider"], found["account"], found["status"]) == (
            "google",
            "42",
            "connected",
        )
        assert found["label"]
        held = await opened(place.bot, place.redis, "ann")
        assert held
        assert held.access_token not in answer.text
        assert held.refresh_token not in answer.text

    async def test_a_check_asks_the_service(self, place: Place, bot: Caller, linked: None) -> None:
        answer = await bot.post("/connections/check", user_id="ann", provider="google")
        assert answer.json() == {"outcome": "working"}
        assert place.fake.calls["account"] > 1

    async def test_a_disconnect_ends_it_and_is_in_the_audit(
        self, place: Place, bot: Caller, linked: None
    ) -> None:
        answer = await bot.post("/connections/disconnect", user_id="ann", provider="google")
        assert answer.json() == {"outcome": "revoked", "manage_url": None}
        assert await opened(place.bot, place.redis, "ann") is None
        assert not await place.redis.exists(revoke_key("ann", "google"))
        (record,) = await audited(place)
        assert (record.action, record.whom, record.via) == ("disconnected", "ann", "api")
        again = await bot.post("/connections/disconnect", user_id="ann", provider="google")
        assert again.json()["outcome"] == "nothing"

    async def test_an_account_that_is_not_connected_is_left_alone(
        self, place: Place, bot: Caller, linked: None
    ) -> None:
        other = {"user_id": "ann", "provider": "google", "account": "43"}
        is_problem(await bot.post("/connections/disconnect", **other), 409, "not_connected")
        assert await opened(place.bot, place.redis, "ann")
        assert await audited(place) == []

    async def test_links_and_checks_are_limited_for_each_person(self, place: Place) -> None:
        bot = await caller(place)
        await place.bot.store_token(place.redis, "ann", granted(place.fake, "google"))
        asked = {"user_id": "ann", "provider": "google"}
        for _ in range(10):
            assert (await bot.post("/connections/check", **asked)).status_code == 200
        other = await caller(place)
        is_problem(await other.post("/connections/check", **asked), 429, "rate_limited")


class TestProofs:
    async def started(self, place: Place, bot: Caller, user: str = "ann") -> tuple[Any, str]:
        """A browser with a link of the API's, and the code that it shows."""
        browser = await place.browser()
        made = await bot.post("/links", user_id=user, provider="google")
        path = made.json()["url"].removeprefix(place.settings.base_url)
        await browser.post(f"{path}/start")
        return browser, shown_code(await browser.get("/connect/proof"))

    async def test_a_code_that_the_person_sent_lets_their_browser_go_on(
        self, place: Place, bot: Caller
    ) -> None:
        browser, code = await self.started(place, bot)
        wrong = await bot.post("/proofs", user_id="ann", code="AAAAAA")
        assert wrong.json() == {"outcome": "no_match", "provider": None, "tries_left": 4}
        typed = f" {code[:3]} {code[3:].lower()}"
        right = await bot.post("/proofs", user_id="ann", code=typed)
        assert right.json() == {"outcome": "matches", "provider": "google", "tries_left": None}
        await browser.post("/connect/proof/continue")
        assert await is_signed_in(browser)

    async def test_a_code_of_somebody_else_matches_nothing(self, place: Place, bot: Caller) -> None:
        _, code = await self.started(place, bot)
        answer = await bot.post("/proofs", user_id="ben", code=code)
        assert answer.json()["outcome"] == "no_code"

    async def test_guesses_are_counted_for_each_person_over_all_keys(self, place: Place) -> None:
        bots = [await caller(place), await caller(place)]
        for number in range(20):
            await bots[number % 2].post("/proofs", user_id="ann", code="AAAAAA")
        is_problem(await bots[0].post("/proofs", user_id="ann", code="AAAAAA"), 429, "rate_limited")
        assert (await bots[0].post("/proofs", user_id="ben", code="AAA")).status_code == 200

    @every("proof", {"by code": "code", "by the browser's word": "confirm"})
    async def test_who_was_proven_over_the_api_is_never_staff(
        self, redis_url: str, redis: Any, proof: str
    ) -> None:
        async with site_at(redis_url, redis, support_users=("carol",), link_proof=proof) as place:
            bot = await caller(place)
            if proof == "code":
                browser, code = await self.started(place, bot, "carol")
                await bot.post("/proofs", user_id="carol", code=code)
            else:
                browser = await place.browser()
                # Her own link from chat is open, and does not come into the bot's hands.
                await place.bot.create_link_code(redis, "carol", provider="google")
                made = await bot.post("/links", user_id="carol", provider="google")
                path = made.json()["url"].removeprefix(place.settings.base_url)
                await browser.post(f"{path}/start")
            await browser.post("/connect/proof/continue")
            assert await is_signed_in(browser)
            assert (await browser.get("/support")).status_code == 404
            if proof == "code":
                proven = await place.browser()
                await place.prove(proven, "carol")
                assert (await proven.get("/support")).status_code == 200


async def test_no_secret_of_a_call_is_in_its_repr(place: Place) -> None:
    key, known = "stargazer_key", ServiceKey("an-id", "bot", "a-digest", ("token",), 0.0)
    scope = {"type": "http", "headers": [(b"authorization", key.encode())]}
    call = Call(Request(scope), place.site, known, {"refused": "a-token", "code": "a-code"})
    assert "an-id" in repr(call)
    for secret in (key, "a-token", "a-code", "a-digest"):
        assert secret not in repr(call)


class TestWhichOfSeveral:
    @pytest.fixture
    async def two(self, redis_url: str, redis: Any) -> AsyncIterator[tuple[Place, Caller]]:
        """ann has connected GitHub as mona, and as hubert, which she calls Work."""
        fake = AccountProvider()
        async with site_at(redis_url, redis, fake) as place:
            await added(place.bot, fake, redis, "mona", is_adding=False)
            await added(place.bot, fake, redis, "hubert", account="Work")
            yield place, await caller(place)

    @every("named", {"by its name": "Work", "by the name as written": "work", "there": "hubert"})
    async def test_a_token_is_of_the_account_that_is_named(
        self, two: tuple[Place, Caller], named: str
    ) -> None:
        _, bot = two
        answer = await bot.token(provider="github", account=named)
        assert AccountProvider.whose(answer.json()["access_token"]) == "hubert"
        by_id = await bot.token(provider="github", account=answer.json()["account"])
        assert by_id.json()["access_token"] == answer.json()["access_token"]
        refused = {"account": named, "refused": answer.json()["access_token"]}
        fresh = (await bot.token(provider="github", **refused)).json()["access_token"]
        assert AccountProvider.whose(fresh) == "hubert"
        assert fresh != answer.json()["access_token"]

    async def test_without_a_name_the_caller_is_told_which_there_are(
        self, two: tuple[Place, Caller]
    ) -> None:
        place, bot = two
        asked = {"user_id": "ann", "provider": "github"}
        for answer in (
            await bot.token(provider="github"),
            await bot.token(provider="github", refused="a-token"),
            await bot.post("/connections/check", **asked),
            await bot.post("/connections/disconnect", **asked),
        ):
            found = is_problem(answer, 409, "ambiguous_account")
            assert sorted(map(str.lower, found["accounts"])) == ["mona", "work"]
        rows = (await bot.get("/connections", user_id="ann")).json()["connections"]
        assert [row["label"] for row in rows] == ["mona", "hubert"]
        assert await audited(place) == []

    async def test_one_is_checked_and_ended_and_the_other_stays(
        self, two: tuple[Place, Caller]
    ) -> None:
        _, bot = two
        asked = {"user_id": "ann", "provider": "github", "account": "Work"}
        assert (await bot.post("/connections/check", **asked)).json() == {"outcome": "working"}
        ended = await bot.post("/connections/disconnect", **asked)
        assert ended.json()["outcome"] == "revoked"
        rows = (await bot.get("/connections", user_id="ann")).json()["connections"]
        assert [row["label"] for row in rows] == ["mona"]
        is_problem(await bot.token(provider="github", account="Work"), 409, "not_connected")

    async def test_a_check_that_finds_an_end_leaves_the_notice_of_the_other_account(
        self, two: tuple[Place, Caller]
    ) -> None:
        place, bot = two
        asked = {"user_id": "ann", "provider": "github"}
        used = (await bot.token(provider="github", account="mona")).json()["access_token"]
        place.fake.withdraw()
        await place.bot.renew(place.redis, "ann", "github", refused=used, account="mona")
        checked = await bot.post("/connections/check", **asked, account="Work")
        assert checked.json() == {"outcome": "reconnect_needed"}
        assert await place.redis.zrange(DUE, 0, -1) == [b"reconnect_needed:github:ann"]
        await bot.post("/connections/check", **asked, account="mona")
        assert await place.redis.zcard(DUE) == 0

    async def test_a_link_is_for_the_account_that_is_named_and_given_again_for_that_one(
        self, two: tuple[Place, Caller]
    ) -> None:
        place, bot = two
        asked = {"user_id": "ann", "provider": "github"}
        first = (await bot.post("/links", **asked, account="third")).json()["url"]
        assert (await bot.post("/links", **asked, account="third")).json()["url"] == first
        found = await place.bot.links.find(place.redis, "ann", "github")
        assert found
        assert found[1].account == "third"
        assert (await bot.post("/links", **asked, account="Work")).json()["url"] != first
        is_problem(await bot.post("/links", **asked, account="@@@"), 409, "not_connected")
        missing = await bot.token(provider="github", account="fourth")
        assert "connect_url" in is_problem(missing, 409, "not_connected")
