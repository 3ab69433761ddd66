"""Documents of an OpenID provider: when they are asked for, what is believed, for how long."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.kit.clock import FakeClock
from tests.kit.every import every
from tests.kit.fake_answers import Answer, Gate, gzip_bomb, json_answer, redirect
from tests.kit.openid_server import CLIENT_ID, ISSUER, OpenIDServer, new_key
from webui.oauth_manager import OAuthMisconfigured, OAuthUnavailable
from webui.oauth_manager.protocol.metadata import (
    FRESH_SECONDS,
    document_url,
)
from webui.oauth_manager.protocol.metadata_cache import PAUSE_SECONDS
from webui.oauth_manager.protocol.transport import Transport
from webui.sign_on.discovery import IssuerMetadata
from webui.sign_on.identity import IdTokenRefused, KeyUnknown
from webui.sign_on.keys import PAUSE_SECONDS as KEYS_PAUSE_SECONDS
from webui.sign_on.keys import TROUBLE_SECONDS as KEYS_TROUBLE_SECONDS
from webui.sign_on.keys import Keys

pytestmark = pytest.mark.anyio

DOCUMENT = "/.well-known/openid-configuration"
NONSENSE = [
    Answer(200, {}, b""),
    Answer(200, {}, b"<html>"),
    Answer(200, {}, b"[]"),
    Answer(200, {}, b" " * (256 * 1024 + 1)),
    Answer(404),
    Answer(503),
    gzip_bomb(4 * 1024 * 1024),
    redirect("https://elsewhere.example/"),
    json_answer({"issuer": ISSUER}, 500),
]


@pytest.fixture
def server() -> OpenIDServer:
    return OpenIDServer()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def network(server: OpenIDServer) -> AsyncIterator[Transport]:
    transport = Transport(httpx.ASGITransport(server))
    yield transport
    await transport.aclose()


@pytest.fixture
def discovery(network: Transport, clock: FakeClock) -> IssuerMetadata:
    return IssuerMetadata(ISSUER, network, clock)


async def code_of(discovery: IssuerMetadata) -> str:
    with pytest.raises((OAuthMisconfigured, OAuthUnavailable)) as caught:
        await discovery.metadata()
    return caught.value.code


# Discovery


def test_the_document_stands_behind_the_issuer() -> None:
    assert document_url(ISSUER) == ISSUER + DOCUMENT
    assert document_url(ISSUER + "/") == ISSUER + DOCUMENT
    assert document_url(ISSUER + "/realms/one") == f"{ISSUER}/realms/one{DOCUMENT}"


async def test_the_document_is_asked_for_once_an_hour(
    server: OpenIDServer, discovery: IssuerMetadata, clock: FakeClock
) -> None:
    metadata = await discovery.metadata()
    assert metadata.token_endpoint == f"{ISSUER}/token"
    clock.advance(FRESH_SECONDS - 1)
    assert await discovery.metadata() is metadata
    assert server.calls[DOCUMENT] == 1
    clock.advance(1)
    assert await discovery.metadata() == metadata
    assert server.calls[DOCUMENT] == 2


async def test_many_who_come_at_once_ask_once(
    server: OpenIDServer, discovery: IssuerMetadata
) -> None:
    gate = server.gates[DOCUMENT] = Gate()
    waiting = [asyncio.create_task(discovery.metadata()) for _ in range(20)]
    await gate.reached()
    gate.open()
    assert len({id(metadata) for metadata in await asyncio.gather(*waiting)}) == 1
    assert server.calls[DOCUMENT] == 1


async def test_who_stops_waiting_leaves_the_others_their_answer(
    server: OpenIDServer, discovery: IssuerMetadata
) -> None:
    gate = server.gates[DOCUMENT] = Gate()
    first, second = (asyncio.create_task(discovery.metadata()) for _ in range(2))
    await gate.reached()
    first.cancel()
    gate.open()
    assert await second
    assert first.cancelled()
    assert server.calls[DOCUMENT] == 1


async def test_a_document_that_comes_late_is_known_though_nobody_waited(
    server: OpenIDServer, discovery: IssuerMetadata
) -> None:
    gate = server.gates[DOCUMENT] = Gate()
    asking = asyncio.create_task(discovery.metadata())
    await gate.reached()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    gate.open()
    assert await discovery.metadata()
    assert await discovery.metadata()
    assert server.calls[DOCUMENT] == 1


async def test_trouble_leaves_what_was_known_and_a_wrong_document_does_not(
    server: OpenIDServer, discovery: IssuerMetadata, clock: FakeClock
) -> None:
    metadata = await discovery.metadata()
    server.answers[DOCUMENT] = Answer(503)
    clock.advance(FRESH_SECONDS)
    assert await discovery.metadata() is metadata
    assert await discovery.metadata() is metadata
    assert server.calls[DOCUMENT] == 2
    server.answers[DOCUMENT] = json_answer(server.metadata() | {"issuer": "https://evil.test"})
    clock.advance(PAUSE_SECONDS)
    assert await code_of(discovery) == "other_issuer"


@pytest.mark.parametrize("answer", NONSENSE)
async def test_what_is_no_document_is_trouble_and_asked_again_soon(
    server: OpenIDServer, discovery: IssuerMetadata, clock: FakeClock, answer: Answer
) -> None:
    server.answers[DOCUMENT] = answer
    for _ in range(3):
        with pytest.raises(OAuthUnavailable):
            await discovery.metadata()
    assert server.calls[DOCUMENT] == 1
    del server.answers[DOCUMENT]
    clock.advance(PAUSE_SECONDS)
    assert await discovery.metadata()


@pytest.mark.parametrize(
    "issuer",
    [None, "", "https://other.example", ISSUER + "/", ISSUER.upper(), ISSUER + "/x", [ISSUER], 5],
)
async def test_a_document_of_another_issuer_is_not_believed(
    server: OpenIDServer, discovery: IssuerMetadata, issuer: object
) -> None:
    server.document["issuer"] = issuer
    assert await code_of(discovery) == "other_issuer"


@every(
    "name",
    [
        *("authorization_endpoint", "token_endpoint", "jwks_uri"),
        *("userinfo_endpoint", "end_session_endpoint"),
    ],
)
@every(
    "url",
    [
        "http://login.example/x",
        "http://127.0.0.1/x",  # the issuer is not on this machine
        "ftp://login.example/x",
        "javascript:alert(1)",
        "//login.example/x",
        "/x",
        "https://",
        "https://user@login.example/x",
        "https://login.example/x#y",
        "https://login.example/ x",
        5,
        ["https://login.example/x"],
    ],
)
async def test_no_endpoint_may_be_where_a_secret_must_not_go(
    server: OpenIDServer, network: Transport, clock: FakeClock, name: str, url: object
) -> None:
    server.document = {name: url}
    assert await code_of(IssuerMetadata(ISSUER, network, clock)) == name


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
async def test_an_endpoint_that_is_missing_is_told(
    server: OpenIDServer, discovery: IssuerMetadata, name: str
) -> None:
    server.document[name] = None
    assert await code_of(discovery) == name


async def test_on_this_machine_http_will_do(clock: FakeClock) -> None:
    server = OpenIDServer(issuer="http://localhost:8001/signon")
    server.document["token_endpoint"] = "http://login.example/token"
    app_path = "/signon" + DOCUMENT
    server.answers[app_path] = lambda _: json_answer(server.metadata())
    transport = Transport(httpx.ASGITransport(server))
    discovery = IssuerMetadata(server.issuer, transport, clock)
    assert await code_of(discovery) == "token_endpoint"
    server.document.clear()
    clock.advance(PAUSE_SECONDS)
    assert (await discovery.metadata()).token_endpoint == "http://localhost:8001/signon/token"
    await transport.aclose()


@pytest.mark.parametrize("name", ["userinfo_endpoint", "end_session_endpoint"])
async def test_a_provider_without_userinfo_or_a_way_to_sign_out_is_fine(
    server: OpenIDServer, discovery: IssuerMetadata, name: str
) -> None:
    server.document[name] = None
    assert getattr(await discovery.metadata(), name) == ""


@pytest.mark.parametrize("announced", [False, None, "true", 1, []])
async def test_iss_in_the_response_is_expected_only_where_it_is_announced(
    server: OpenIDServer, discovery: IssuerMetadata, announced: object
) -> None:
    server.document["authorization_response_iss_parameter_supported"] = announced
    assert not (await discovery.metadata()).sends_issuer


# Keys


def verifying(network: Transport, clock: FakeClock, server: OpenIDServer) -> Any:
    keys = Keys(network, clock)

    async def verify(**changes: Any) -> str:
        server.claims = changes
        token = server.id_token({"nonce": "n"})
        claims = await keys.verify(
            token, f"{ISSUER}/jwks", issuer=ISSUER, client_id=CLIENT_ID, nonce="n"
        )
        return str(claims["sub"])

    return verify


async def test_keys_are_asked_for_when_they_are_needed_and_then_kept(
    server: OpenIDServer, network: Transport, clock: FakeClock
) -> None:
    verify = verifying(network, clock, server)
    assert server.calls["/jwks"] == 0
    for _ in range(3):
        assert await verify() == "carol"
    assert server.calls["/jwks"] == 1


async def test_a_new_key_is_found_by_its_name(
    server: OpenIDServer, network: Transport, clock: FakeClock
) -> None:
    verify = verifying(network, clock, server)
    assert await verify()
    clock.advance(KEYS_PAUSE_SECONDS)
    server.keys.insert(0, new_key())
    assert await verify() == "carol"
    assert server.calls["/jwks"] == 2


async def test_a_key_that_was_taken_back_is_not_believed_for_long(
    server: OpenIDServer, network: Transport, clock: FakeClock
) -> None:
    verify = verifying(network, clock, server)
    stolen = server.keys[0]
    assert await verify()
    clock.advance(FRESH_SECONDS)
    server.keys[:] = [new_key()]
    server.sign = lambda claims: server.signed(claims, stolen)
    with pytest.raises(KeyUnknown):
        await verify()


async def test_unknown_names_make_nobody_ask_more_than_once_a_minute(
    server: OpenIDServer, network: Transport, clock: FakeClock
) -> None:
    verify = verifying(network, clock, server)
    assert await verify()
    server.sign = lambda claims: server.signed(claims, new_key())
    clock.advance(KEYS_PAUSE_SECONDS)
    for _ in range(5):
        with pytest.raises(KeyUnknown):
            await verify()
    assert server.calls["/jwks"] == 2


async def test_a_wrong_claim_makes_nobody_ask_again(
    server: OpenIDServer, network: Transport, clock: FakeClock
) -> None:
    verify = verifying(network, clock, server)
    with pytest.raises(IdTokenRefused):
        await verify(aud="other")
    assert server.calls["/jwks"] == 1


@pytest.mark.parametrize("answer", [*NONSENSE, json_answer({"keys": []})])
async def test_without_keys_nobody_signs_in_and_the_old_ones_stay(
    server: OpenIDServer, network: Transport, clock: FakeClock, answer: Answer
) -> None:
    verify = verifying(network, clock, server)
    server.answers["/jwks"] = answer
    with pytest.raises(OAuthUnavailable):
        await verify()
    del server.answers["/jwks"]
    clock.advance(KEYS_TROUBLE_SECONDS)
    assert await verify()
    server.answers["/jwks"] = answer
    assert await verify()


async def test_many_who_wait_for_keys_that_do_not_come_wait_for_one_answer(
    server: OpenIDServer, network: Transport, clock: FakeClock
) -> None:
    """Or each would wait for all before, ten seconds at a provider that is silent."""
    server.answers["/jwks"] = Answer(503)
    gate = server.gates["/jwks"] = Gate()
    verify = verifying(network, clock, server)
    waiting = [asyncio.create_task(verify()) for _ in range(20)]
    await gate.reached()
    gate.open()
    failures = await asyncio.gather(*waiting, return_exceptions=True)
    assert {str(failure) for failure in failures} == {
        str(OAuthUnavailable("sign-on", "keys", "http_503"))
    }
    assert len(set(map(id, failures))) == 20
    assert server.calls["/jwks"] == 1


async def test_a_private_key_in_the_set_only_verifies(
    server: OpenIDServer, network: Transport, clock: FakeClock
) -> None:
    """A provider's blunder, which is not ours to make worse."""
    body = {"keys": [server.keys[0].as_dict(private=True)]}
    server.answers["/jwks"] = Answer(200, {}, json.dumps(body).encode())
    assert await verifying(network, clock, server)() == "carol"
