"""One proxy on the way to providers: used for every call, named when it fails, never told."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from tests.kit.certificates import Authority, authority, tls_front
from tests.kit.connect_proxy import connect_proxy
from tests.kit.every import every
from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.library import KEY, age, began, connected, providers_config
from tests.kit.site_fixtures import free_port
from webui.app import make_manager
from webui.oauth_manager import (
    Health,
    OAuthManager,
    OAuthUnavailable,
    RevokeOutcome,
    init_oauth_manager,
)
from webui.oauth_manager.protocol.metadata import get_request
from webui.oauth_manager.protocol.requests import ProviderRequest
from webui.oauth_manager.protocol.transport import Transport
from webui.settings.settings import load_settings

pytestmark = pytest.mark.anyio

SITE = "https://bot.example"
PROVIDER = "provider.example"
TARGET = f"{PROVIDER}:443"
LOGIN = "user:p%40ss-canary"


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    """An authority that this process trusts, by the variable that the documents name."""
    made = authority(tmp_path_factory.mktemp("tls"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(made.path))
        yield made


@pytest.fixture
async def port(fake: FakeProvider, trusted: Authority) -> AsyncIterator[int]:
    """The provider's own, with TLS; its name leads nowhere but through the proxy."""
    with serve(fake) as url:
        behind = urlsplit(url).port
        assert behind
        async with tls_front(behind, trusted.server(PROVIDER)) as made:
            yield made


def manager_through(fake: FakeProvider, proxy: str) -> OAuthManager:
    config = providers_config(fake, f"https://{PROVIDER}", ["google"])
    return init_oauth_manager(KEY, SITE, config, outgoing_proxy=proxy)


def a_request(url: str = f"https://{PROVIDER}/token") -> ProviderRequest:
    return ProviderRequest("plain", "exchange", "POST", url, {}, b"code=canary-code")


class TestEveryCall:
    @pytest.mark.parametrize("scheme", ["http", "https"])
    @pytest.mark.parametrize("login", ["", f"{LOGIN}@"])
    async def test_goes_through_it(
        self,
        fake: FakeProvider,
        redis: Redis,
        port: int,
        trusted: Authority,
        scheme: str,
        login: str,
    ) -> None:
        tls = trusted.server() if scheme == "https" else None
        wanted = "user:p@ss-canary" if login else ""
        async with connect_proxy({TARGET: port}, tls=tls, login=wanted) as proxy:
            manager = manager_through(fake, f"{scheme}://{login}127.0.0.1:{proxy.port}")
            await connected(manager, fake, redis, "u1", "google")
            await age(manager, redis, "u1", "google")
            assert await manager.get_token("u1", "google", redis)
            assert await manager.check(redis, "u1", "google") is Health.WORKING
            ended = await manager.delete_token(redis, "u1", "google")
            await manager.aclose()
        assert ended.at_provider is RevokeOutcome.REVOKED
        assert {fake.calls[n] > 0 for n in ("exchange", "refresh", "account", "revoke")} == {True}
        assert set(proxy.seen) == {TARGET}

    async def test_hides_what_it_says_from_the_proxy(
        self, fake: FakeProvider, redis: Redis, port: int
    ) -> None:
        async with connect_proxy({TARGET: port}) as proxy:
            manager = manager_through(fake, f"http://127.0.0.1:{proxy.port}")
            await connected(manager, fake, redis, "u1", "google")
            await manager.aclose()
        assert proxy.plain
        for secret in (fake.client_secret, *fake.issued):
            assert secret.encode() not in proxy.plain

    async def test_of_the_sign_on_goes_through_it_too(self, fake: FakeProvider, port: int) -> None:
        async with connect_proxy({TARGET: port}) as proxy:
            transport = Transport(proxy=f"http://127.0.0.1:{proxy.port}")
            await transport.send(get_request("sign-on", "discovery", f"https://{PROVIDER}/account"))
            await transport.aclose()
        assert proxy.seen == [TARGET]

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    async def test_to_this_machine_goes_straight(self, fake: FakeProvider, host: str) -> None:
        transport = Transport(proxy="http://127.0.0.1:1")
        with serve(fake) as url:
            answer = await transport.send(a_request(url.replace("127.0.0.1", host) + "/unknown"))
        await transport.aclose()
        assert answer.status == 404

    async def test_of_a_manager_that_the_settings_make_goes_through_it(
        self, fake: FakeProvider, port: int, redis: Redis, redis_url: str
    ) -> None:
        async with connect_proxy({TARGET: port}) as proxy:
            settings = load_settings(
                {
                    "BASE_URL": SITE,
                    "REDIS_URL": redis_url,
                    "ENCRYPTION_KEY": KEY,
                    "SESSION_SECRET": "kX9wq2-mTzR7_pL4vB8nC1yH6jD3fG5s",
                    "OUTGOING_PROXY": f"http://127.0.0.1:{proxy.port}",
                    "EXTRA_PROVIDERS": "lab",
                    "LAB_CLIENT_ID": fake.client_id,
                    "LAB_CLIENT_SECRET": fake.client_secret,
                    "LAB_AUTHORIZE_URL": f"https://{PROVIDER}/lab/authorize",
                    "LAB_TOKEN_URL": f"https://{PROVIDER}/lab/token",
                }
            )
            manager = make_manager(settings)
            await connected(manager, fake, redis, "u1", "lab")
            await manager.aclose()
        assert TARGET in proxy.seen


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "it wants a password": ({"login": "other:password"}, "proxy_wants_password"),
    "it cannot reach the provider": ({"refusal": "502 Bad Gateway"}, "proxy_refused"),
    "it is overloaded": ({"refusal": "503 Service Unavailable"}, "proxy_refused"),
    "it forbids the provider": ({"refusal": "403 Forbidden"}, "proxy_refused"),
}


class TestAFaultOfIt:
    @pytest.mark.parametrize(("fault", "code"), FAULTS.values(), ids=FAULTS.keys())
    async def test_is_named_and_ends_no_connection(
        self,
        fake: FakeProvider,
        redis: Redis,
        port: int,
        fault: dict[str, Any],
        code: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        async with connect_proxy({TARGET: port}) as well:
            manager = manager_through(fake, f"http://127.0.0.1:{well.port}")
            await connected(manager, fake, redis, "u1", "google")
            await age(manager, redis, "u1", "google")
            await manager.aclose()
        async with connect_proxy({TARGET: port}, **fault) as proxy:
            manager = manager_through(fake, f"http://{LOGIN}@127.0.0.1:{proxy.port}")
            with pytest.raises(OAuthUnavailable) as caught:
                await manager.get_token("u1", "google", redis)
            assert caught.value.code == code
            assert await manager.has_token("u1", "google", redis)
            await manager.aclose()
        ours = [r.getMessage() for r in caplog.records if r.name.startswith("webui")]
        assert "canary" not in f"{caught.value!r} {ours}"

    async def test_that_it_is_not_there_is_named(self) -> None:
        transport = Transport(proxy=f"http://127.0.0.1:{free_port()}")
        with pytest.raises(OAuthUnavailable) as caught:
            await transport.send(a_request())
        assert caught.value.code == "proxy_unreachable"
        await transport.aclose()

    async def test_that_its_name_does_not_resolve_is_named(self) -> None:
        transport = Transport(proxy="http://no-such-proxy.invalid:3128")
        with pytest.raises(OAuthUnavailable) as caught:
            await transport.send(a_request())
        assert caught.value.code == "proxy_unreachable"
        await transport.aclose()

    async def test_costs_a_new_connection_its_code_alone(
        self, fake: FakeProvider, redis: Redis, port: int
    ) -> None:
        async with connect_proxy({TARGET: port}, refusal="502 Bad Gateway") as proxy:
            manager = manager_through(fake, f"http://127.0.0.1:{proxy.port}")
            attempt, code = await began(manager, fake, redis, "u1", "google")
            with pytest.raises(OAuthUnavailable):
                await manager.complete(redis, attempt, code)
            await manager.aclose()
        assert not await redis.keys("stargazer:oauth_tokens:*")

    async def test_is_not_what_a_bad_certificate_of_the_provider_is(
        self, fake: FakeProvider, trusted: Authority, tmp_path: Path
    ) -> None:
        with serve(fake) as url:
            behind = urlsplit(url).port
            assert behind
            async with (
                tls_front(behind, authority(tmp_path, "nobody").server(PROVIDER)) as port,
                connect_proxy({TARGET: port}) as proxy,
            ):
                transport = Transport(proxy=f"http://127.0.0.1:{proxy.port}")
                with pytest.raises(OAuthUnavailable) as caught:
                    await transport.send(a_request())
                await transport.aclose()
        assert caught.value.code == "certificate"
        assert fake.requests == []


class TestItsAddress:
    @every("address", ["socks5://proxy.example:1080", "proxy.example:3128", "http://", "canary"])
    def test_that_is_none_is_refused_without_telling_it(self, address: str) -> None:
        with pytest.raises(ValueError, match="looks like http://user:password@host:3128") as caught:
            init_oauth_manager(KEY, SITE, outgoing_proxy=address)
        assert "canary" not in str(caught.value)

    def test_is_in_no_repr(self) -> None:
        manager = init_oauth_manager(KEY, SITE, outgoing_proxy=f"http://{LOGIN}@proxy.example:1")
        assert "canary" not in repr(manager) + repr(vars(manager._transport))


class TestTheProvidersCertificate:
    async def test_of_a_private_authority_is_trusted_by_ssl_cert_file(
        self, fake: FakeProvider, trusted: Authority
    ) -> None:
        with serve(fake) as url:
            behind = urlsplit(url).port
            assert behind
            async with tls_front(behind, trusted.server()) as port:
                transport = Transport()
                answer = await transport.send(a_request(f"https://127.0.0.1:{port}/unknown"))
                await transport.aclose()
        assert answer.status == 404

    async def test_that_cannot_be_read_is_trouble_with_a_name(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", "/no/such.pem")
        transport = Transport()
        with pytest.raises(OAuthUnavailable) as caught:
            await transport.send(a_request())
        assert caught.value.code == "own_certificates"

    def test_of_nobody_is_never_taken(self, trusted: Authority) -> None:
        for source in (Path(__file__).parents[2] / "webui").rglob("*.py"):
            text = source.read_text()
            for switch in ("CERT_NONE", "verify=False", "_create_unverified", "check_hostname ="):
                assert switch not in text, source
        assert ssl.create_default_context().verify_mode is ssl.CERT_REQUIRED
