"""IP addresses for comparing and counting: one host has one spelling."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

UNIX_PEER = "unix"
"""The peer of every connection over a Unix socket, which has no address."""

_MAPPED = IPv6Network("::ffff:0:0/96")
_TRANSLATED = IPv6Network("64:ff9b::/96")  # RFC 6052: IPv4 clients of a site that has none
_CLIENT_BITS = 64  # the rest of an IPv6 address is the client's to choose


def address_of(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address, an IPv4-mapped one as IPv4; None if it is none."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def network_of(text: str) -> IPv4Network | IPv6Network:
    """Return a network, one of IPv4-mapped addresses as IPv4.  Raises ``ValueError``."""
    found = ip_network(text)
    if isinstance(found, IPv6Network) and found.subnet_of(_MAPPED):
        mapped = found.network_address.ipv4_mapped
        return IPv4Network(f"{mapped}/{found.prefixlen - _MAPPED.prefixlen}")
    return found


def counted_network(text: str) -> str:
    """Return the network to count tries for, ``unknown`` if the text is no address.

    If many IPv4 clients would share one IPv6 network (6to4, Teredo, translation), each
    is counted by its IPv4 address.
    """
    found = address_of(text)
    if isinstance(found, IPv6Address):
        found = _embedded(found) or found
    if found is None:
        return "unknown"
    if isinstance(found, IPv4Address):
        return str(found)
    return str(IPv6Network((int(found), _CLIENT_BITS), strict=False))


def _embedded(found: IPv6Address) -> IPv4Address | None:
    if found in _TRANSLATED:
        return IPv4Address(int(found) & 0xFFFFFFFF)
    return found.sixtofour or (found.teredo[1] if found.teredo else None)


class TrustedNetworks:
    """The addresses of reverse proxies, and perhaps ``unix``: the peers at our Unix socket."""

    def __init__(self, networks: Iterable[str]) -> None:
        given = set(networks)
        self._takes_unix = UNIX_PEER in given
        self._networks = [network_of(network) for network in given - {UNIX_PEER}]

    def __contains__(self, host: str) -> bool:
        if host == UNIX_PEER:
            return self._takes_unix
        found = address_of(host)
        return found is not None and any(found in network for network in self._networks)
