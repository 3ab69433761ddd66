"""One host has one spelling, wherever addresses are compared or counted."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.kit.every import every
from tests.kit.library import BASE_URL
from tests.kit.site_fixtures import Place, site_at
from tests.site.test_link_limits import UNKNOWN, allowed, statuses
from webui.addresses import TrustedNetworks, address_of, counted_network, network_of
from webui.settings.readers import Malformed, base_url, is_loopback, networks

pytestmark = pytest.mark.anyio

ADDRESSES = st.ip_addresses(v=4)


def spellings(address: IPv4Address) -> list[str]:
    """One IPv4 address in every way that a peer or a proxy may name it."""
    mapped = IPv6Address(f"::ffff:{address}")
    return [str(address), f"::ffff:{address}", f"::FFFF:{address}", mapped.exploded, str(mapped)]


@given(ADDRESSES)
def test_a_mapped_address_is_the_ipv4_address(address: IPv4Address) -> None:
    for text in spellings(address):
        assert address_of(text) == address
        assert counted_network(text) == str(address)


@given(ADDRESSES, ADDRESSES)
def test_two_ipv4_addresses_never_share_a_count(one: IPv4Address, other: IPv4Address) -> None:
    for first, second in zip(spellings(one), reversed(spellings(other)), strict=True):
        assert (counted_network(first) == counted_network(second)) is (one == other)


@given(ADDRESSES, st.integers(0, 32), ADDRESSES)
def test_a_network_has_the_same_members_in_either_spelling(
    inside: IPv4Address, bits: int, other: IPv4Address
) -> None:
    plain = IPv4Network(f"{inside}/{bits}", strict=False)
    mapped = f"::ffff:{plain.network_address}/{96 + bits}"
    assert network_of(str(plain)) == network_of(mapped) == plain
    trusted = TrustedNetworks([mapped])
    for text in spellings(inside):
        assert text in trusted
    for text in spellings(other):
        assert (text in trusted) is (other in plain)


@given(st.ip_addresses(v=6))
def test_the_last_64_bits_of_an_ipv6_address_count_for_nothing(address: IPv6Address) -> None:
    counted = counted_network(str(address))
    if counted.endswith("/64"):
        sibling = IPv6Address(int(address) ^ 0xFFFF)
        assert counted_network(str(sibling)) == counted


@every(
    ("written", "counted"),
    [
        ("2002:c000:204:1::7", "192.0.2.4"),  # 6to4
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "192.0.2.45"),  # Teredo
        ("64:ff9b::192.0.2.33", "192.0.2.33"),  # translated on the way to a site without IPv4
        ("2001:db8:0:7::9", "2001:db8:0:7::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("unknown", "unknown"),
        ("192.0.2.1:80", "unknown"),
        ("010.0.0.1", "unknown"),
    ],
)
def test_an_address_is_counted_by_what_its_client_cannot_choose(written: str, counted: str) -> None:
    assert counted_network(written) == counted


def test_an_address_that_only_holds_another_is_not_trusted_as_that() -> None:
    trusted = TrustedNetworks(["192.0.2.4"])
    for text in ("2002:c000:204::1", "64:ff9b::192.0.2.4", "::192.0.2.4", "192.0.2.40", ""):
        assert text not in trusted


def test_everybody_is_trusted_in_no_spelling() -> None:
    for text in ("0.0.0.0/0", "::/0", "::ffff:0:0/96", "::ffff:0.0.0.0/96"):
        with pytest.raises(Malformed):
            networks(text)


def test_this_machine_is_known_in_either_spelling() -> None:
    assert is_loopback("::ffff:127.0.0.1")
    assert not is_loopback("::ffff:192.0.2.1")
    assert base_url("http://[::ffff:127.0.0.1]:8000")


async def misses(place: Place, peer: str, forwarded: str, times: int = 1) -> list[int]:
    """Open an unknown link: the statuses of the answers."""
    transport = httpx.ASGITransport(place.app, client=(peer, 50000))
    headers = {"x-forwarded-for": forwarded}
    async with httpx.AsyncClient(transport=transport, base_url=BASE_URL, headers=headers) as client:
        return await statuses(times, lambda: client.get(UNKNOWN))


@pytest.mark.parametrize("trusted", ["10.1.2.3", "10.0.0.0/8", "::ffff:10.1.2.3"])
@pytest.mark.parametrize("peer", ["10.1.2.3", "::ffff:10.1.2.3", "::ffff:a01:203"])
@pytest.mark.parametrize("wrap", ["{}", "::ffff:{}", "[::ffff:{}]:4711", "{}, ::ffff:10.1.2.3"])
async def test_behind_a_proxy_every_ipv4_client_has_a_limit_of_its_own(
    redis_url: str, redis: Redis, trusted: str, peer: str, wrap: str
) -> None:
    async with site_at(redis_url, redis, trusted_proxies=(trusted,)) as place:
        first = await misses(place, peer, wrap.format("198.51.100.1"), allowed("miss") + 1)
        assert first == [303] * allowed("miss") + [429]
        assert await misses(place, peer, wrap.format("198.51.100.2")) == [303]
        assert await misses(place, peer, "198.51.100.1") == [429]
