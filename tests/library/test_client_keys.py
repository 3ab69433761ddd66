"""Clients that sign with a key in place of a secret, and requests that are pushed before."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey
from redis.asyncio import Redis

from tests.kit.clock import FakeClock
from tests.kit.every import every
from tests.kit.library import BASE_URL, KEY, callback_query, impatient
from tests.kit.strict_server import StrictServer
from webui.oauth_manager import (
    Connection,
    OAuthManager,
    OAuthMisconfigured,
    OAuthProvider,
    OAuthUnavailable,
)
from webui.oauth_manager.configuration import Malformed
from webui.oauth_manager.protocol.transport import Transport
from webui.oauth_manager.providers.client_keys import derive_key, read_key

pytestmark = pytest.mark.anyio

EC_KEY = ECKey.generate_key("P-256").as_pem(private=True).decode()
RSA_KEY = RSAKey.generate_key(2048).as_pem(private=True).decode()


def strict(key: str, **more: Any) -> tuple[StrictServer, OAuthManager]:
    """A server that knows us by our public key alone, and a manager with the private one."""
    server = StrictServer(**more)
    config: dict[str, Any] = {
        "authorize_url": f"{server.issuer}/authorize",
        "token_url": f"{server.issuer}/token",
        "revoke_url": f"{server.issuer}/revoke",
        "issuer": server.issuer,
        "client_id": "bot",
        "client_key": key,
        "scopes": ["read"],
    }
    if server.pushes:
        config["par_url"] = f"{server.issuer}/par"
    transport = Transport(httpx.ASGITransport(server))
    made = OAuthManager(KEY, BASE_URL, {"acme": config}, transport=transport, clock=FakeClock())
    server.clients["bot"] = {
        "redirect_uris": [made.redirect_uri("acme")],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": json.loads(json.dumps(made.public_keys()))},
    }
    return server, impatient(made)


async def connect(server: StrictServer, manager: OAuthManager, redis: Redis) -> Connection:
    url = await manager.begin(redis, "u1", "acme", browser="a browser")
    query = callback_query(await server.authorize(url))
    attempt = await manager.links.take_attempt(redis, query["state"], "a browser")
    assert attempt is not None
    found = await manager.complete(redis, attempt, query["code"])
    assert isinstance(found, Connection)
    return found


class TestAClientWithAKey:
    @pytest.mark.parametrize("key", [EC_KEY, RSA_KEY], ids=["EC", "RSA"])
    async def test_lives_its_whole_life_without_a_secret(self, redis: Redis, key: str) -> None:
        server, manager = strict(key, expires_in=30)
        await connect(server, manager, redis)
        manager.clock.advance(29)  # type: ignore[attr-defined]
        assert await manager.get_token("u1", "acme", redis) in server.issued
        done = await manager.delete_token(redis, "u1", "acme")
        assert done.at_provider == "revoked"
        assert [step for step, _ in server.forms] == ["token", "token", "revoke"]
        assert not any("client_secret" in form for _, form in server.forms)
        assert server.reasons == []

    async def test_signs_each_request_for_the_issuer_alone_and_once(self, redis: Redis) -> None:
        server, manager = strict(EC_KEY)
        await connect(server, manager, redis)
        token = await manager.get_token("u1", "acme", redis)
        assert await manager.renew(redis, "u1", "acme", refused=str(token)) != token
        first, second = (form["client_assertion"] for _, form in server.forms)
        assert first != second
        assert server.reasons == []

    async def test_of_another_key_is_the_operators_problem(self, redis: Redis) -> None:
        server, manager = strict(EC_KEY)
        (ours,) = manager.public_keys()
        other = ECKey.generate_key("P-256").as_dict(private=False)
        server.clients["bot"]["jwks"] = {"keys": [{**other, "kid": ours["kid"]}]}
        url = await manager.begin(redis, "u1", "acme", browser="a browser")
        query = callback_query(await server.authorize(url))
        attempt = await manager.links.take_attempt(redis, query["state"], "a browser")
        assert attempt is not None
        with pytest.raises(OAuthMisconfigured):
            await manager.complete(redis, attempt, query["code"])

    def test_is_set_up_by_its_id_and_key(self) -> None:
        places = "https://a.example/authorize", "https://a.example/token"
        assert OAuthProvider("acme", *places, client_id="bot", client_key=EC_KEY).is_configured
        assert not OAuthProvider("acme", *places, client_key=EC_KEY).is_configured
        keyless = OAuthProvider("acme", *places, client_id="bot", token_auth="private_key_jwt")
        assert not keyless.is_configured

    def test_shows_no_private_part_of_its_key(self) -> None:
        _, manager = strict(RSA_KEY)
        (public,) = manager.public_keys()
        assert public.keys() == {"kty", "n", "e", "kid", "use", "alg"}
        provider = manager.providers["acme"]
        shown = repr(provider) + repr(provider.signing_key) + repr(manager)
        assert "PRIVATE" not in shown
        assert public["n"] not in shown


class TestKeys:
    @every(
        "text",
        [
            ECKey.generate_key("P-256").as_pem(private=False).decode(),
            OctKey.generate_key(256).as_dict(private=True)["k"],
            json.dumps(OctKey.generate_key(256).as_dict(private=True)),
            ECKey.generate_key("secp256k1").as_pem(private=True).decode(),
            EC_KEY[:-40],
            "[" * 10_000,
            "{" * 10_000,
            "-----BEGIN PRIVATE KEY-----",
            '{"kty": "EC"}',
            "",
        ],
    )
    def test_what_cannot_sign_is_refused_and_not_repeated(self, text: str) -> None:
        with pytest.raises(Malformed) as raised:
            read_key(text)
        assert not text or text not in str(raised.value)

    def test_one_as_a_jwk_is_the_same_as_in_pem(self) -> None:
        as_jwk = json.dumps(ECKey.import_key(EC_KEY).as_dict(private=True))
        assert read_key(as_jwk).public == read_key(EC_KEY).public

    def test_one_that_is_derived_is_the_same_in_every_process_and_for_one_purpose(self) -> None:
        names = {derive_key(b"secret", "one").name, derive_key(b"secret", "two").name}
        assert len(names) == 2
        assert derive_key(b"secret", "one").name in names
        assert derive_key(b"other", "one").name not in names

    def test_a_faulty_one_is_refused_when_the_manager_is_made(self) -> None:
        config = {"github": {"client_id": "id", "client_key": "a secret key"}}
        with pytest.raises(ValueError, match="client_key must be a private key") as raised:
            OAuthManager(KEY, BASE_URL, config)
        assert "a secret key" not in str(raised.value)


class TestPushedRequests:
    async def test_the_browser_carries_a_reference_alone(self, redis: Redis) -> None:
        server, manager = strict(EC_KEY, pushes=True)
        url = await manager.begin(redis, "u1", "acme", browser="a browser")
        query = dict(parse_qsl(urlsplit(url).query))
        assert query.keys() == {"client_id", "request_uri"}
        assert await server.authorize(url)
        assert server.reasons == []

    async def test_a_connection_is_made(self, redis: Redis) -> None:
        server, manager = strict(EC_KEY, pushes=True)
        assert (await connect(server, manager, redis)).status == "connected"

    async def test_a_link_for_chat_leads_to_our_page_since_what_is_pushed_lives_a_minute(
        self, redis: Redis
    ) -> None:
        server, manager = strict(EC_KEY, pushes=True)
        url = await manager.generate_connect_url("u1", "acme", redis, ["read", "write"])
        code = url.removeprefix(f"{BASE_URL}/connect/")
        link, _ = await manager.links.peek(redis, code) or (None, 0)
        assert link is not None
        assert (link.user_id, link.provider, link.scopes) == ("u1", "acme", ("read", "write"))
        assert not server.forms

    async def test_what_the_server_refuses_is_not_sent_by_the_browser_in_its_place(
        self, redis: Redis
    ) -> None:
        server, manager = strict(EC_KEY, pushes=True)
        server.clients["bot"]["redirect_uris"] = []
        with pytest.raises(OAuthMisconfigured) as raised:
            await manager.begin(redis, "u1", "acme", browser="a browser")
        assert (raised.value.step, raised.value.code) == ("push", "invalid_request")

    @every(
        ("status", "body", "kind"),
        [
            (200, b'{"request_uri": ""}', OAuthMisconfigured),
            (201, b'{"request_uri": "a b"}', OAuthMisconfigured),
            (201, b'{"request_uri": 5, "expires_in": 60, "error": "x"}', OAuthMisconfigured),
            (403, b'{"error": "access_denied"}', OAuthMisconfigured),
            (400, b'{"error": "temporarily_unavailable"}', OAuthUnavailable),
            (200, b"<html>", OAuthUnavailable),
            (302, b"", OAuthUnavailable),
            (503, b'{"request_uri": "urn:x"}', OAuthUnavailable),
            (429, b"{}", OAuthUnavailable),
        ],
    )
    async def test_an_answer_without_a_reference_ends_it(
        self, redis: Redis, status: int, body: bytes, kind: type[Exception]
    ) -> None:
        async def answer(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": body})

        _, manager = strict(EC_KEY, pushes=True)
        manager._transport._transport = httpx.ASGITransport(answer)
        with pytest.raises(kind):
            await manager.begin(redis, "u1", "acme", browser="a browser")
