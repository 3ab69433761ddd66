"""Clients of a provider's API: the token goes with every request, and nowhere else."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.fake_answers import Answer, error_answer, redirect
from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.fake_requests import Recorded
from tests.kit.library import (
    BASE_URL,
    KEY,
    checked_twice,
    connected,
    impatient,
    manager_for,
    providers_config,
    time_passes,
)
from webui.oauth_manager import (
    HostRefused,
    OAuthManager,
    OAuthNotConnected,
    OAuthProvider,
    OAuthUnavailable,
    StoreUnavailable,
    access,
    init_oauth_manager,
    oauth_client,
)
from webui.oauth_manager.client.guard import ApiHosts

pytestmark = pytest.mark.anyio

HOST = "api.provider.example"
URL = f"https://{HOST}/google/account"
REFUSED = error_answer("invalid_token", 401)


@pytest.fixture
def manager(fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> OAuthManager:
    """That of the process; its provider's API is the fake's account address."""
    manager = manager_for(fake)
    for provider in manager.providers.values():
        provider.api_hosts = (HOST, "files.provider.example:8443")
    monkeypatch.setattr(access, "_instance", manager)
    return manager


@pytest.fixture
async def ann(manager: OAuthManager, fake: FakeProvider, redis: Redis) -> Any:
    fake.account = {"sub": "42", "email": "mona@example.org"}
    await connected(manager, fake, redis, "ann", "google")
    fake.requests.clear()
    return SimpleNamespace(user_id="ann", redis=redis)


def asked(fake: FakeProvider) -> list[Recorded]:
    """What the API was sent, without the token endpoint."""
    return [request for request in fake.requests if request.endpoint != "token"]


class TestARequest:
    async def test_carries_the_token(self, fake: FakeProvider, ann: Any) -> None:
        async with oauth_client(ann, "google") as http:
            answer = await http.get(URL, params={"page": 2}, headers={"X-Mine": "yes"})
        assert answer.json() == fake.account
        (request,) = asked(fake)
        assert fake.is_alive(request.bearer)
        assert (request.query, request.headers["x-mine"]) == ({"page": "2"}, "yes")

    async def test_has_a_base_address_if_the_tool_sets_one(
        self, fake: FakeProvider, ann: Any
    ) -> None:
        async with oauth_client(ann, "google") as http:
            http.base_url = httpx.URL(f"https://{HOST}/google/")
            assert (await http.get("account")).status_code == 200

    async def test_of_nobody_connected_raises_with_a_link_and_is_not_sent(
        self, fake: FakeProvider, ann: Any
    ) -> None:
        bob = SimpleNamespace(user_id="bob", redis=ann.redis)
        async with oauth_client(bob, "google") as http:
            with pytest.raises(OAuthNotConnected) as caught:
                await http.get(URL)
        assert caught.value.connect_url.startswith("https://")
        assert not fake.requests

    async def test_wants_the_scopes_that_the_tool_names(self, fake: FakeProvider, ann: Any) -> None:
        async with oauth_client(ann, "google", scopes=["far.more"]) as http:
            with pytest.raises(OAuthNotConnected) as caught:
                await http.get(URL)
        assert caught.value.missing_scopes == ("far.more",)
        assert not fake.requests

    async def test_without_redis_is_not_sent(self, fake: FakeProvider, ann: Any) -> None:
        async with oauth_client(SimpleNamespace(user_id="ann", redis=None), "google") as http:
            with pytest.raises(StoreUnavailable):
                await http.get(URL)

    async def test_after_a_disconnect_is_not_sent(
        self, manager: OAuthManager, fake: FakeProvider, ann: Any
    ) -> None:
        async with oauth_client(ann, "google") as http:
            await http.get(URL)
            await manager.delete_token(ann.redis, "ann", "google")
            with pytest.raises(OAuthNotConnected):
                await http.get(URL)

    async def test_takes_no_cookie_along(self, fake: FakeProvider, ann: Any) -> None:
        fake.always["account"] = Answer(200, {"set-cookie": "session=ann; Path=/"}, b"{}")
        async with oauth_client(ann, "google") as http:
            await http.get(URL)
            await http.get(URL)
        assert not [request for request in asked(fake) if "cookie" in request.headers]

    async def test_of_an_unknown_provider_is_a_mistake_of_the_caller(self, ann: Any) -> None:
        with pytest.raises(ValueError, match="unknown provider"):
            oauth_client(ann, "nowhere")

    def test_of_a_synchronous_client_is_refused(self, manager: OAuthManager) -> None:
        ann: Any = SimpleNamespace(user_id="ann", redis=None)
        auth = oauth_client(ann, "google").auth
        with (
            httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200))) as http,
            pytest.raises(RuntimeError, match="asynchronous"),
        ):
            http.get(URL, auth=auth)


class TestA401:
    async def test_renews_the_token_and_sends_once_more(self, fake: FakeProvider, ann: Any) -> None:
        fake.script("account", REFUSED)
        async with oauth_client(ann, "google") as http:
            answer = await http.post(URL, json={"a": 1})
        assert answer.status_code == 200
        first, second = asked(fake)
        assert first.bearer != second.bearer
        assert (first.json, second.json) == ({"a": 1}, {"a": 1})
        assert fake.calls["refresh"] == 1

    async def test_twice_is_the_apis_own_answer(self, fake: FakeProvider, ann: Any) -> None:
        fake.script("account", REFUSED, Answer(401, {}, b"not for you"), Answer(200))
        async with oauth_client(ann, "google") as http:
            answer = await http.get(URL)
        assert (answer.status_code, answer.content) == (401, b"not for you")
        assert (len(asked(fake)), fake.calls["refresh"]) == (2, 1)

    @pytest.mark.parametrize("status", [400, 403, 404, 407, 429, 500, 503])
    async def test_is_no_other_status(self, fake: FakeProvider, ann: Any, status: int) -> None:
        fake.script("account", Answer(status))
        async with oauth_client(ann, "google") as http:
            assert (await http.get(URL)).status_code == status
        assert (len(asked(fake)), fake.calls["refresh"]) == (1, 0)

    async def test_of_sixty_four_calls_together_makes_one_refresh(
        self, fake: FakeProvider, ann: Any
    ) -> None:
        fake.script("account", *[REFUSED] * 64)
        async with oauth_client(ann, "google") as http:
            answers = await asyncio.gather(*(http.get(URL) for _ in range(64)))
        assert {answer.status_code for answer in answers} == {200}
        assert fake.calls["refresh"] == 1

    async def test_takes_what_a_sibling_renewed_first(
        self, manager: OAuthManager, fake: FakeProvider, ann: Any
    ) -> None:
        async def refuse(request: Recorded) -> Answer:
            await manager.renew(ann.redis, "ann", "google", refused=request.bearer)
            return REFUSED

        fake.script("account", refuse)
        async with oauth_client(ann, "google") as http:
            assert (await http.get(URL)).status_code == 200
        assert fake.calls["refresh"] == 1

    async def test_raises_a_link_if_the_connection_has_ended(
        self, fake: FakeProvider, ann: Any
    ) -> None:
        fake.withdraw()
        async with oauth_client(ann, "google") as http:
            with pytest.raises(OAuthNotConnected):
                await http.get(URL)
        assert len(asked(fake)) == 1

    async def test_raises_that_the_provider_cannot_renew_now(
        self, fake: FakeProvider, ann: Any
    ) -> None:
        fake.script("account", REFUSED)
        fake.always["token"] = Answer(503)
        async with oauth_client(ann, "google") as http:
            with pytest.raises(OAuthUnavailable):
                await http.get(URL)

    async def test_of_a_token_that_nothing_renews_is_returned_until_access_is_over(
        self, manager: OAuthManager, fake: FakeProvider, redis: Redis
    ) -> None:
        fake.gives_refresh_token, fake.expires_in = False, None
        await connected(manager, fake, redis, "ann", "github")
        ann = SimpleNamespace(user_id="ann", redis=redis)
        async with oauth_client(ann, "github") as http:
            fake.script("account", REFUSED)
            answer = await http.get(f"https://{HOST}/github/account")
            assert answer.status_code == 401
            fake.withdraw()
            await checked_twice(manager, redis, "ann", "github")
            with pytest.raises(OAuthNotConnected):
                await http.get(f"https://{HOST}/github/account")

    async def test_does_not_send_a_stream_twice(self, fake: FakeProvider, ann: Any) -> None:
        async def body() -> AsyncIterator[bytes]:
            yield b"once "
            yield b"only"

        fake.script("account", REFUSED)
        async with oauth_client(ann, "google") as http:
            answer = await http.post(URL, content=body())
            assert answer.status_code == 401
            assert len(asked(fake)) == 1
            assert (await http.post(URL, content=body())).status_code == 200
        assert fake.calls["refresh"] == 1

    @pytest.mark.parametrize("is_seekable", [True, False])
    async def test_sends_a_file_twice_if_it_can_go_back(
        self, fake: FakeProvider, ann: Any, is_seekable: bool
    ) -> None:
        class File(io.BytesIO):
            def seekable(self) -> bool:
                return is_seekable

        fake.script("account", REFUSED)
        async with oauth_client(ann, "google") as http:
            answer = await http.post(URL, files={"f": ("name", File(b"inside"))})
        sent = asked(fake)
        assert answer.status_code == (200 if is_seekable else 401)
        assert len(sent) == (2 if is_seekable else 1)
        assert all(b"inside" in request.body for request in sent)


class TestOtherHosts:
    @pytest.mark.parametrize(
        "url",
        [
            "https://evil.example/google/account",
            "http://api.provider.example/google/account",
            "https://api.provider.example:8443/google/account",
            "https://api.provider.example.evil.example/",
            "https://evil.example@api.provider.example/",
            "https://api.provider.example@evil.example/",
            "https://api.provider.example./",
            "https://files.provider.example/",
            "http://127.0.0.1/",
            "https://provider.example/google/token",
        ],
    )
    @pytest.mark.parametrize("auth", ["usual", None])
    async def test_are_refused_by_name_before_anything_is_sent(
        self, fake: FakeProvider, ann: Any, url: str, auth: Any
    ) -> None:
        async with oauth_client(ann, "google") as http:
            asking = http.get(url) if auth else http.get(url, auth=None)
            with pytest.raises(HostRefused) as caught:
                await asking
        assert httpx.URL(url).host in str(caught.value)
        assert HOST in str(caught.value)
        assert "evil.example@" not in str(caught.value)
        assert not fake.requests

    async def test_of_the_list_with_their_port_get_the_token(
        self, fake: FakeProvider, ann: Any
    ) -> None:
        async with oauth_client(ann, "google") as http:
            answer = await http.get("https://FILES.provider.example:8443/google/account")
            same = await http.get(f"https://{HOST}:443/google/account")
        assert (answer.status_code, same.status_code) == (200, 200)

    async def test_get_no_token_by_a_redirect(self, fake: FakeProvider, ann: Any) -> None:
        fake.script("account", redirect("https://cdn.example/google/account", 307))
        async with oauth_client(ann, "google", scopes=()) as http:
            token = (await http.get(URL)).request.headers["authorization"].split()[1]
            fake.requests.clear()
            fake.script("account", redirect("https://cdn.example/google/account", 307))
            headers = {"X-Token": token, "X-Mine": "yes"}
            answer = await http.get(URL, headers=headers, follow_redirects=True)
        assert answer.status_code == 401
        first, second = asked(fake)
        assert first.bearer == token
        assert token not in repr(second.headers)
        assert second.headers["x-mine"] == "yes"
        assert fake.calls["refresh"] == 0  # the other host's 401 says nothing about it

    async def test_are_not_followed_to_unless_the_tool_wants_that(
        self, fake: FakeProvider, ann: Any
    ) -> None:
        fake.script("account", redirect("https://cdn.example/", 302))
        async with oauth_client(ann, "google") as http:
            assert (await http.get(URL)).status_code == 302
        assert len(asked(fake)) == 1

    async def test_are_all_others_if_none_is_listed(
        self, manager: OAuthManager, fake: FakeProvider, ann: Any
    ) -> None:
        manager.providers["google"].api_hosts = ()
        async with oauth_client(ann, "google") as http:
            with pytest.raises(HostRefused, match="api_hosts are not set"):
                await http.get(URL)


def hosts_of(token_url: str, *api_hosts: str) -> ApiHosts:
    provider = OAuthProvider("p", "https://p.example/a", token_url, api_hosts=api_hosts)
    return ApiHosts(provider)


def test_plain_http_is_for_a_provider_on_this_machine_alone() -> None:
    here = hosts_of("http://127.0.0.1:9000/token", "127.0.0.1:9000", "api.example")
    there = hosts_of("https://p.example/token", "127.0.0.1:9000", "api.example")
    local = httpx.URL("http://127.0.0.1:9000/x")
    assert (here.has(local), there.has(local)) == (True, False)
    assert not here.has(httpx.URL("http://127.0.0.1:9001/x"))
    assert not here.has(httpx.URL("http://api.example/x"))


async def test_built_in_providers_know_the_hosts_of_their_apis() -> None:
    manager = OAuthManager(KEY, BASE_URL)
    known = {name: provider.api_hosts for name, provider in manager.providers.items()}
    assert "api.github.com" in known["github"]
    assert "graph.microsoft.com" in known["microsoft"]
    assert "discord.com" in known["discord"]
    assert {"www.googleapis.com", "gmail.googleapis.com"} <= set(known["google"])


async def test_a_provider_that_moves_to_another_server_leaves_its_api_behind() -> None:
    moved = {"authorize_url": "https://ghe.example/a", "token_url": "https://ghe.example/t"}
    manager = OAuthManager(KEY, BASE_URL, {"github": moved})
    assert manager.providers["github"].api_hosts == ()
    moved_along = {**moved, "api_hosts": ("ghe.example",)}
    manager = OAuthManager(KEY, BASE_URL, {"github": moved_along})
    assert manager.providers["github"].api_hosts == ("ghe.example",)


class TestATokenThatHasToLast:
    async def test_is_renewed_ahead(
        self, manager: OAuthManager, fake: FakeProvider, ann: Any
    ) -> None:
        time_passes(manager, 1800)
        async with oauth_client(ann, "google", min_valid=1700) as http:
            await http.get(URL)
        assert fake.calls["refresh"] == 0
        async with oauth_client(ann, "google", min_valid=1900) as http:
            await http.get(URL)
            await http.get(URL)
        assert fake.calls["refresh"] == 1

    async def test_for_longer_than_it_ever_does_is_not_renewed_each_time(
        self, manager: OAuthManager, fake: FakeProvider, ann: Any
    ) -> None:
        async with oauth_client(ann, "google", min_valid=1e6) as http:
            for _ in range(5):
                await http.get(URL)
            assert fake.calls["refresh"] == 0
            time_passes(manager, 120)
            for _ in range(5):
                await http.get(URL)
        assert fake.calls["refresh"] == 1

    async def test_is_used_as_it_is_while_the_provider_is_in_trouble(
        self, manager: OAuthManager, fake: FakeProvider, ann: Any
    ) -> None:
        time_passes(manager, 1800)
        fake.always["token"] = Answer(503)
        async with oauth_client(ann, "google", min_valid=3000) as http:
            assert (await http.get(URL)).status_code == 200


async def test_over_a_real_network_it_works_and_leaves_the_managers_connections_open(
    fake: FakeProvider, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_instance", None)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with serve(fake) as url:
        config = providers_config(fake, url)
        config["google"]["api_hosts"] = (url.removeprefix("http://"),)
        manager = impatient(init_oauth_manager(KEY, BASE_URL, config))
        fake.account = {"sub": "42", "email": "mona@example.org"}
        await connected(manager, fake, redis, "ann", "google")
        ann = SimpleNamespace(user_id="ann", redis=redis)
        fake.script("account", REFUSED)
        for _ in range(2):
            async with oauth_client(ann, "google") as http:
                answer = await http.post(f"{url}/google/account", json={"a": 1})
                assert answer.json() == fake.account
                with pytest.raises(HostRefused):
                    await http.get("http://127.0.0.1:9/")
        await manager.aclose()
    assert fake.calls["refresh"] == 1
