"""Kinds of addresses, and those that a request may go to: its reach.  No I/O.

An address that a server names, and no operator, is as far away as that server itself: on
the internet none of this network's, and only on this machine one of this machine's.
"""

from __future__ import annotations

import ipaddress

PUBLIC = "public"
PRIVATE = "private"
LOOPBACK = "loopback"
NOWHERE = "nowhere"  # link-local (a cloud's metadata), multicast, unspecified, reserved

Reach = tuple[str, ...]
"""The kinds of addresses that a request may go to; empty for all, which an operator names."""

KINDS = (PUBLIC, PRIVATE, LOOPBACK)
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address at the end
# Python takes these for public: what a cloud answers its own machines at (Azure, Oracle), and
# IPv6 beyond what is given out as global unicast (RFC 4291, 2.4), translated addresses too.
_NOT_PUBLIC = tuple(map(ipaddress.ip_network, ("168.63.129.16/32", "192.0.0.0/24")))
_GLOBAL = ipaddress.ip_network("2000::/3")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class OutOfReach(OSError):
    """A name led to addresses that a request must not go to, and to no other that answered."""


def beside(kind: str) -> Reach:
    """Return the reach of what a server at an address of that kind may send us to."""
    return KINDS[: KINDS.index(kind) + 1]


def kind_of(host: str) -> str:
    """Return the kind of an address written as a number, or of ``localhost``; ``""`` of a name."""
    name = host.rstrip(".").lower()
    if name in ("localhost", "ip6-localhost") or name.endswith(".localhost"):
        return LOOPBACK
    try:
        address: _Address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return ""
    return _kind(_inside(address) or address)


def admits(reach: Reach, host: str) -> bool:
    """Tell whether a request of that reach may go there; a name may until it is an address."""
    kind = kind_of(host)
    return not reach or not kind or kind in reach


def _inside(address: _Address) -> _Address | None:
    """Return the IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _TRANSLATED:
        return ipaddress.IPv4Address(address.packed[-4:])
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)


def _kind(address: _Address) -> str:
    if address.is_loopback:
        return LOOPBACK
    if address.is_multicast or address.is_link_local or address.is_unspecified:
        return NOWHERE
    if any(address in network for network in _NOT_PUBLIC):
        return NOWHERE
    if address.is_global:
        return PUBLIC if address.version == 4 or address in _GLOBAL else NOWHERE
    return NOWHERE if address.is_reserved else PRIVATE
