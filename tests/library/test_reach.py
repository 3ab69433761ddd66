"""Reach of requests: the kinds of addresses that another server may send us to."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.kit.fake_provider import FakeProvider, serve
from webui.oauth_manager import OAuthProvider, OAuthUnavailable, TokenData
from webui.oauth_manager.protocol.reach import KINDS, Reach, admits, beside, kind_of
from webui.oauth_manager.protocol.requests import (
    ProviderRequest,
    account_request,
    refresh_request,
    revoke_request,
)
from webui.oauth_manager.protocol.transport import Transport

pytestmark = pytest.mark.anyio

KIND = {
    "93.184.216.34": "public",
    "2606:4700::1111": "public",
    "::ffff:93.184.216.34": "public",
    "10.1.2.3": "private",
    "172.16.0.1": "private",
    "192.168.1.1": "private",
    "100.64.0.1": "private",
    "fd00::1": "private",
    "::ffff:10.1.2.3": "private",
    "64:ff9b::10.1.2.3": "private",
    "2002:0a01:0203::": "private",
    "127.0.0.1": "loopback",
    "127.8.8.8": "loopback",
    "::1": "loopback",
    "[::1]": "loopback",
    "::ffff:127.0.0.1": "loopback",
    "64:ff9b::127.0.0.1": "loopback",
    "localhost": "loopback",
    "LOCALHOST.": "loopback",
    "a.localhost": "loopback",
    "A.Localhost.": "loopback",
    "169.254.169.254": "nowhere",
    "64:ff9b::169.254.169.254": "nowhere",
    "fe80::1%eth0": "nowhere",
    "224.0.0.1": "nowhere",
    "ff02::1": "nowhere",
    "0.0.0.0": "nowhere",  # noqa: S104
    "::": "nowhere",
    "240.0.0.1": "nowhere",
    "168.63.129.16": "nowhere",
    "192.0.0.192": "nowhere",
    "::127.0.0.1": "nowhere",
    "::ffff:0:127.0.0.1": "nowhere",
    "64:ff9b:1::10.1.2.3": "nowhere",
    "fec0::1": "nowhere",
    "id.example": "",
    "127.0.0.1.example": "",
}


def test_each_address_is_of_one_kind_also_inside_another_one() -> None:
    assert {host: kind_of(host) for host in KIND} == KIND


def test_nearer_addresses_are_for_those_who_are_as_near_themselves() -> None:
    assert beside("public") == ("public",)
    assert beside("private") == ("public", "private")
    assert beside("loopback") == ("public", "private", "loopback")
    for kind in KINDS:
        assert not admits(beside(kind), "169.254.169.254")
    assert admits((), "169.254.169.254")
    assert admits(("public",), "a-name.example")


def test_an_address_that_metadata_name_has_its_reach_whatever_is_filled_into_it() -> None:
    urls = [f"https://id.example/{{client_id}}/{name}" for name in ("token", "revoke", "account")]
    provider = OAuthProvider(
        "acme",
        "https://id.example/authorize",
        urls[0],
        client_id="us",
        client_secret="shh",
        revoke_url=urls[1],
        account_url=urls[2],
        reach=("public",),
        found=tuple(urls),
    )
    token = TokenData("a", "r")
    made = [
        refresh_request(provider, token),
        revoke_request(provider, token),
        account_request(provider, "a"),
    ]
    assert [one.url for one in made] == [url.replace("{client_id}", "us") for url in urls]
    assert [one.reach for one in made] == [("public",)] * 3


# By the network


@pytest.fixture
async def network() -> AsyncIterator[Transport]:
    transport = Transport()
    yield transport
    await transport.aclose()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Name -> the addresses that it leads to; no other name is known."""
    known: dict[str, list[str]] = {}

    def look_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in known[host]
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


def request(url: str, reach: Reach) -> ProviderRequest:
    return ProviderRequest("acme", "exchange", "POST", url, {}, b"code=canary-code", reach)


async def fault_of(transport: Transport, url: str, reach: Reach) -> str:
    with pytest.raises(OAuthUnavailable) as caught:
        await transport.send(request(url, reach))
    return caught.value.code


async def test_a_name_is_judged_by_the_address_that_is_connected_to(
    network: Transport, names: dict[str, list[str]]
) -> None:
    fake = FakeProvider()
    with serve(fake) as url:
        port = url.rpartition(":")[2]
        names["rebound.example"] = ["127.0.0.1"]
        for reach in (("public",), ("public", "private"), ("private",)):
            assert await fault_of(network, f"http://rebound.example:{port}/x", reach) == (
                "out_of_reach"
            )
        assert not fake.requests
        answer = await network.send(request(f"http://rebound.example:{port}/x", ("loopback",)))
        assert answer.status == 404


async def test_of_several_addresses_only_those_within_reach_are_tried(
    network: Transport, names: dict[str, list[str]]
) -> None:
    with serve(FakeProvider()) as url:
        port = url.rpartition(":")[2]
        names["both.example"] = ["169.254.169.254", "127.0.0.1"]
        answer = await network.send(request(f"http://both.example:{port}/x", ("loopback",)))
        assert answer.status == 404


async def test_a_connection_of_a_wider_reach_is_not_used_for_a_narrower_one(
    network: Transport, names: dict[str, list[str]]
) -> None:
    with serve(FakeProvider()) as url:
        port = url.rpartition(":")[2]
        names["warm.example"] = ["127.0.0.1"]
        address = f"http://warm.example:{port}/x"
        assert (await network.send(request(address, ()))).status == 404
        assert await fault_of(network, address, ("public",)) == "out_of_reach"


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "[::1]", "localhost", "169.254.169.254"])
async def test_an_address_in_numbers_is_refused_before_anything_is_sent(host: str) -> None:
    def nobody(_: httpx.Request) -> httpx.Response:
        raise AssertionError

    transport = Transport(httpx.MockTransport(nobody))
    assert await fault_of(transport, f"https://{host}/token", ("public",)) == "out_of_reach"
    await transport.aclose()


async def test_a_server_that_is_down_is_not_out_of_reach(network: Transport) -> None:
    assert await fault_of(network, "http://127.0.0.1:1/x", ("loopback",)) == "network"
